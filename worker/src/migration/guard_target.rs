//! A guard against destroying mail: `backup -R` makes the target equal to the source, so mail that this
//! framework did not put there would be deleted.

use dmf_shared::{domain::outcome::Outcome, store::TargetState};
use serde_json::json;

use super::{
    Gathered, Runner,
    count::{CountEnd, Counted},
    details::Block,
    step::Interrupted,
    sync::Synced,
};
use crate::held::Held;

/// Its block in `details`.
const STEP: &str = "target guard";

impl Runner {
    /// Whether the target has to be counted before the sync. After an attempt nobody knows how much was
    /// copied, so there is nothing to compare with.
    pub(super) const fn guards_target(&self, held: &Held) -> bool {
        !self.settings.sync.overwrite_target && held.claimed.attempt == 0
    }

    /// Fails a migration whose target holds more mail than this framework left there, unless it was
    /// forced. A target that can't be counted for now is counted again in another lease.
    pub(super) async fn guard_target(
        &self,
        held: &Held,
        before: CountEnd,
        gathered: &mut Gathered,
    ) -> Result<Synced, Interrupted> {
        if !self.guards_target(held) {
            return Ok(Synced::Yes);
        }
        let found = match before {
            CountEnd::Counted(counted) => Counted::messages(&counted),
            // The sync can't open this mailbox either, and says so better; unless it was opened, and one of its
            // folders can't be counted. What was counted is the least that is there.
            CountEnd::Failed(Some(Outcome::TargetUser | Outcome::Configuration), counted) => {
                Counted::messages(&counted)
            }
            CountEnd::Failed(..) if held.claimed.forced => return Ok(Synced::Yes),
            CountEnd::Failed(outcome, _) => return self.count_again_later(held, outcome, gathered),
        };
        if found == 0 {
            return Ok(Synced::Yes);
        }
        let claimed = &held.claimed;
        let state =
            || self.claimant.store.target_state(&claimed.source, claimed.user.id, claimed.job.journal);
        let expected = match self.ask_database(held, "the target guard", state).await? {
            TargetState::Unknown => return Ok(Synced::Yes),
            TargetState::Untouched => 0,
            TargetState::LeftAt(left) => left,
        };
        if found <= expected {
            return Ok(Synced::Yes);
        }
        if claimed.forced {
            tracing::warn!(found, expected, "the target holds mail that is not ours; forced to go on");
            return Ok(Synced::Yes);
        }
        tracing::warn!(found, expected, "the target holds mail that is not ours");
        let sentence = format!(
            "The target mailbox holds {found} mails, but this framework left {expected} there. The sync would delete \
             what the source does not have. Look at it; then submit with force, or set dmf.worker.target-not-empty: \
             allow"
        );
        gathered.details.push(STEP, refusal("target-not-empty", &sentence));
        Ok(Synced::No)
    }
}

impl Runner {
    /// Hands back, as often as a temporary failure is tried again; then the migration fails.
    fn count_again_later(
        &self,
        held: &Held,
        outcome: Option<Outcome>,
        gathered: &mut Gathered,
    ) -> Result<Synced, Interrupted> {
        gathered.moved.uncounted_targets += 1;
        let times = gathered.moved.uncounted_targets;
        let rested =
            (outcome == Some(Outcome::Backend)).then(|| self.rest_worker("the target can't be counted"));
        let again = self.settings.sync.retry.delay_after(times, fastrand::f64());
        let again = again.filter(|_| self.may_circle(held));
        let next = again.map_or("it is given up", |_| "it will be counted again in another lease");
        tracing::warn!(times, next, "the target could not be counted");
        let sentence = format!(
            "The target mailbox could not be counted ({times} of at most {} times), so that nobody knows whether the \
             sync would delete mail of others there; {next}. The count before says why. To go on without it, submit \
             with force, or set dmf.worker.target-not-empty: allow",
            self.settings.sync.retry.attempts
        );
        let mut block = refusal("target-not-counted", &sentence);
        if let Some(rested) = rested {
            block.set("consequences", json!([rested]));
        }
        gathered.details.push(STEP, block);
        again.map_or(Ok(Synced::No), |pause| Err(Interrupted::Later(pause)))
    }
}

fn refusal(outcome: &str, sentence: &str) -> Block {
    let mut block = Block::default();
    block.set("success", false).set("outcome", outcome).set("errors", json!([sentence]));
    block
}
