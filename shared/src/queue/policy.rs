//! Whether Redis keeps what it is given.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Queue;

/// Time between two tries to ask a Redis that does not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// The one policy under which nothing is thrown away.
const NO_EVICTION: &str = "noeviction";

impl Queue {
    /// Says in the log why Redis can't be reached, as long as that is so, and when it answers that it may throw away
    /// jobs for want of memory. No reason not to start: MariaDB knows every job, and health is DOWN for as long as
    /// that is so.
    pub async fn check_policy(self, stop: CancellationToken) {
        let first_answer = async {
            let mut told = None;
            loop {
                match self.server().await {
                    Ok(server) => return server,
                    Err(error) => {
                        let why = self.why_unreachable().await.unwrap_or_else(|| error.to_string());
                        if told.as_ref() != Some(&why) {
                            tracing::warn!(why, "Redis can't be reached");
                        }
                        told = Some(why);
                        sleep(PAUSE).await;
                    }
                }
            }
        };
        let Some(server) = stop.run_until_cancelled(first_answer).await else { return };
        if server.eviction_policy != NO_EVICTION {
            tracing::error!(
                policy = server.eviction_policy,
                "Redis may throw away queued migrations when its memory is full: set maxmemory-policy to {NO_EVICTION}"
            );
        }
    }
}
