//! A guard against destroying mail: `backup -R` makes the target equal to the source, so mail that this
//! framework did not put there would be deleted.

use dmf_shared::store::TargetState;
use serde_json::json;

use super::{
    DATABASE_PAUSE, Gathered, Runner, count::Counted, details::Block, step::Interrupted, sync::Synced,
};
use crate::held::Held;

impl Runner {
    /// Fails a migration whose target holds more mail than this framework left there, unless it was forced
    /// or the settings allow it.
    pub(super) async fn guard_target(
        &self,
        held: &Held,
        before: Option<&Counted>,
        gathered: &mut Gathered,
    ) -> Result<Synced, Interrupted> {
        let claimed = &held.claimed;
        // After a loss or an earlier attempt nobody knows how much was copied.
        let known = claimed.losses == 0 && claimed.attempt == 0;
        let Some(found) = before.map(Counted::messages).filter(|found| *found > 0 && known) else {
            return Ok(Synced::Yes);
        };
        if self.settings.sync.overwrite_target {
            return Ok(Synced::Yes);
        }
        let expected = match self.target_state(held).await? {
            TargetState::Unknown => return Ok(Synced::Yes),
            TargetState::Untouched => 0,
            TargetState::LeftAt(left) => left,
        };
        if found <= expected {
            return Ok(Synced::Yes);
        }
        let sentence = format!(
            "The target mailbox holds {found} mails, but this framework left {expected} there. The sync would delete \
             what the source does not have. Look at it; then submit with force, or set \
             dmf.worker.target-not-empty: allow"
        );
        if claimed.forced {
            tracing::warn!(found, expected, "the target holds mail that is not ours; forced to go on");
            return Ok(Synced::Yes);
        }
        tracing::warn!(found, expected, "the target holds mail that is not ours");
        let mut block = Block::default();
        block.set("success", false).set("outcome", "target-not-empty").set("errors", json!([sentence]));
        gathered.details.push("target guard", block);
        Ok(Synced::No)
    }

    async fn target_state(&self, held: &Held) -> Result<TargetState, Interrupted> {
        let claimed = &held.claimed;
        loop {
            let state =
                self.claimant.store.target_state(&claimed.source, claimed.user.id, claimed.job.journal);
            match state.await {
                Ok(state) => return Ok(state),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the guard waits for the database"
                    );
                    self.pause(held, DATABASE_PAUSE).await?;
                }
            }
        }
    }
}
