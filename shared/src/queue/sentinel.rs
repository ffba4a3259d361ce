//! Follows the master that the Sentinels name.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    Queue, Result,
    endpoint::{Address, Endpoint, Sentinels},
};

/// Time between two questions; a Sentinel takes longer to find out that a master is gone.
const POLL: Duration = Duration::from_secs(2);

impl Queue {
    /// Goes where the Sentinels say that the master is, until `stop`. Ends at once where Redis has an address of
    /// its own.
    pub async fn follow_master(self, stop: CancellationToken) {
        let Endpoint::Sentinels(sentinels) = self.endpoint().clone() else { return };
        stop.run_until_cancelled(self.follow(&sentinels)).await;
    }

    async fn follow(&self, sentinels: &Sentinels) {
        let (mut line, mut current, mut is_lost) = (None, None, false);
        loop {
            match sentinels.ask(&mut line).await {
                Ok(address) => {
                    is_lost = false;
                    if current.as_ref() != Some(&address) {
                        self.move_to(sentinels, address, &mut current).await;
                    }
                }
                Err(fault) => {
                    if !is_lost {
                        tracing::warn!(fault, "no Sentinel says where Redis is, staying where it was");
                    }
                    is_lost = true;
                }
            }
            tokio::time::sleep(POLL + Duration::from_millis(fastrand::u64(0..200))).await;
        }
    }

    /// Goes to a master, once that says itself that it is one: a Sentinel may be ahead of it, or behind.
    async fn move_to(&self, sentinels: &Sentinels, address: Address, current: &mut Option<Address>) {
        let (host, port) = (&address.0, address.1);
        match self.try_move(sentinels, &address).await {
            Ok(true) => {
                tracing::info!(host, port, "this is the master of Redis now");
                *current = Some(address);
            }
            Ok(false) => tracing::warn!(host, port, "the Sentinels name a master that is none (yet)"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(host, port, error, "the master that the Sentinels name does not answer");
            }
        }
    }

    async fn try_move(&self, sentinels: &Sentinels, address: &Address) -> Result<bool> {
        let client = sentinels.client(address).map_err(super::Error::Settings)?;
        let lines = self.open_lines(&client)?;
        if lines.role(self.deadline()).await? != "master" {
            return Ok(false);
        }
        self.switch_to(lines).await?;
        Ok(true)
    }
}
