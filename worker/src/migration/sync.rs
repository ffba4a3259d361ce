//! The sync command, with its retries.

use std::{collections::BTreeMap, time::Duration};

use dmf_shared::domain::{
    clock,
    outcome::{Outcome, Policy},
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    Gathered, Runner,
    details::{Block, exit_text},
    secrets::Secrets,
    step::{Cut, Interrupted, Ran},
    until,
};
use crate::{doveadm::argv::Invocation, held::Held};

/// Its block in `details`.
pub(super) const STEP: &str = "dsync";

/// Whether the mailbox was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Synced {
    /// It was.
    Yes,
    /// It was not; `details` say why.
    No,
}

/// The runs of this lease, by what followed from them.
#[derive(Debug, Default)]
struct Runs {
    all: u32,
    by_policy: BTreeMap<Policy, u32>,
    last: Option<Ran>,
    /// What the last one meant for source host and worker.
    consequences: Vec<String>,
}

impl Runs {
    fn count(&mut self, policy: Option<Policy>) {
        self.all += 1;
        if let Some(policy) = policy {
            *self.by_policy.entry(policy).or_default() += 1;
        }
    }

    fn of(&self, policy: Policy) -> u32 {
        self.by_policy.get(&policy).copied().unwrap_or(0)
    }
}

/// How a run is followed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It is the last one.
    End(Synced),
    /// Another one after this pause.
    Again(Duration),
    /// Another one in another lease, after this pause.
    Later(Duration),
}

impl Runner {
    /// Runs the sync command until it succeeds or its policy says that it is enough, and records it,
    /// however it ends.
    pub(super) async fn sync(
        &self,
        held: &Held,
        invocation: &Invocation,
        deadline: Instant,
        gathered: &mut Gathered,
    ) -> Result<Synced, Interrupted> {
        let (started, begun) = (self.clock.now(), Instant::now());
        let mut runs = Runs::default();
        let end = self.run_until_enough(held, invocation, deadline, gathered, &mut runs).await;
        let spent_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        gathered.moved.spent_ms = gathered.moved.spent_ms.saturating_add(spent_ms);
        gathered.take_sums();
        gathered.begin_progress(held);
        let mut block = block(invocation, &runs, gathered.attempt, end, &gathered.secrets);
        block.set("started", clock::to_text(started)).set("durationMs", gathered.moved.spent_ms);
        gathered.details.push(STEP, block);
        gathered.show_moved();
        end
    }

    async fn run_until_enough(
        &self,
        held: &Held,
        invocation: &Invocation,
        deadline: Instant,
        gathered: &mut Gathered,
        runs: &mut Runs,
    ) -> Result<Synced, Interrupted> {
        loop {
            gathered.attempt += 1;
            let (claimed, attempt) = (&held.claimed, gathered.attempt);
            let carried = gathered.moved.to_carried();
            // Noted first: from now on nobody knows how much is on the target.
            let note = || {
                let store = &self.claimant.store;
                store.note_attempt(&claimed.source, claimed.job, claimed.epoch, attempt, &carried)
            };
            if let Err(interrupted) = self.note(held, "an attempt", note).await {
                gathered.attempt -= 1;
                return Err(interrupted);
            }
            gathered.begin_progress(held);
            let timeout = until(deadline, self.settings.sync.timeout);
            let ran = match self.run_once(held, STEP, invocation, timeout, &gathered.secrets).await {
                Ok(ran) => ran,
                Err(cut) => {
                    let Cut { why, stderr } = *cut;
                    gathered.moved.add(stderr.counts());
                    return Err(why);
                }
            };
            gathered.moved.add(ran.stderr.counts());
            runs.count(ran.judgement.as_ref().map(|judgement| judgement.policy));
            gathered.outcome = ran.judgement.as_ref().map(|judgement| judgement.outcome);
            let next = self.next(held, &ran, runs, gathered.attempt);
            let why = ran.judgement.as_ref().map(|judgement| judgement.message.clone()).unwrap_or_default();
            if ran.not_started {
                runs.consequences = vec![self.rest_worker(ran.fault.as_deref().unwrap_or_default())];
            } else if !matches!(next, Next::Again(_))
                && let Some(judgement) = &ran.judgement
            {
                runs.consequences = self.draw_consequences(held, judgement, invocation.master_user).await;
            }
            runs.last = Some(ran);
            let attempts = runs.all;
            match next {
                Next::End(synced) => return Ok(synced),
                Next::Again(pause) => {
                    tracing::warn!(attempts, ?pause, why, "the sync command will be run again");
                    self.pause(held, pause).await?;
                }
                Next::Later(pause) => {
                    tracing::warn!(attempts, ?pause, why, "handing back until the next attempt");
                    return Err(Interrupted::Later(pause));
                }
            }
        }
    }

    /// What follows the last of the `runs` of this lease, number `in_all` of the migration.
    fn next(&self, held: &Held, ran: &Ran, runs: &Runs, in_all: u32) -> Next {
        let settings = &self.settings.sync;
        let Some(judgement) = ran.judgement.as_ref().filter(|_| ran.fault.is_none()) else {
            if ran.exit.is_some() {
                return Next::End(Synced::No);
            }
            if !ran.not_started {
                // Its guard was lost, and it with it: nothing is known against user or host.
                return match settings.retry.delay_after(runs.all, fastrand::f64()) {
                    Some(pause) => Next::Again(pause),
                    None => Next::End(Synced::No),
                };
            }
            // Trouble of this machine, not of the user.
            return self.later(held, settings.retry.delay).unwrap_or(Next::End(Synced::No));
        };
        if judgement.outcome == Outcome::Success {
            return Next::End(Synced::Yes);
        }
        let spent =
            judgement.policy.further_runs().is_some_and(|further| runs.of(judgement.policy) > further);
        // Long pauses go over leases, and then the attempts of all leases count.
        let over_leases = settings.retry.delay > settings.slot_hold;
        let retries = if over_leases { in_all } else { runs.of(judgement.policy) };
        let delay = settings.retry.delay_after(retries, fastrand::f64());
        let again =
            match judgement.policy {
                Policy::Rerun if !spent => Some(Next::Again(Duration::ZERO)),
                Policy::RetryOnce if spent => None,
                Policy::Retry | Policy::RetryOnce => delay.map(|pause| {
                    if pause <= settings.slot_hold { Next::Again(pause) } else { Next::Later(pause) }
                }),
                // Neither the user nor the command is at fault: it waits its turn, but not for ever.
                Policy::BackOffHost => self.later(held, self.settings.suspend.limited),
                Policy::LeaveWorker => self.later(held, settings.retry.delay),
                Policy::Rerun | Policy::Accept | Policy::FailUser | Policy::SuspendHost => None,
            };
        let accepted = judgement.outcome.is_accepted_at_end(held.claimed.phase);
        again.unwrap_or(Next::End(if accepted { Synced::Yes } else { Synced::No }))
    }

    /// A hand-back for `pause`, unless the migration is too old to circle any longer.
    fn later(&self, held: &Held, pause: Duration) -> Option<Next> {
        self.may_circle(held).then_some(Next::Later(pause))
    }

    /// Whether the migration may go back to the queue once more.
    pub(super) fn may_circle(&self, held: &Held) -> bool {
        Duration::from_millis(held.claimed.age_ms) < self.settings.sync.max_age
    }

    /// Waits before another run, unless the migration is to stop or its lease is lost.
    pub(super) async fn pause(&self, held: &Held, pause: Duration) -> Result<(), Interrupted> {
        let stop = held.stop_token();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Err(Interrupted::Stopped),
        }
        if held.is_lost() { Err(Interrupted::LeaseLost) } else { Ok(()) }
    }
}

impl Gathered {
    /// The numbers of the record that the sums give. A run that nobody counted leaves them unknown.
    fn take_sums(&mut self) {
        let totals = self.moved.totals(self.attempt);
        self.counts.sync_message_count = totals.map(|(saved, _)| saved);
        self.counts.expunged_message_count = totals.map(|(_, expunged)| expunged);
        self.counts.sync_speed = Some(self.moved.spent_ms);
    }

    /// Shows the mails moved so far in whatever runs next.
    fn begin_progress(&self, held: &Held) {
        let (saved, expunged) = self.moved.totals(0).unwrap_or_default();
        held.begin_progress(saved, expunged);
    }

    /// Shows the sums in the block of the sync command.
    pub(super) fn show_moved(&mut self) {
        for (field, moved) in [("saved", &self.moved.saved), ("expunged", &self.moved.expunged)] {
            if !moved.is_empty() {
                self.details.amend(STEP, field, json!(moved));
            }
        }
    }
}

fn block(
    invocation: &Invocation,
    runs: &Runs,
    attempts: u32,
    end: Result<Synced, Interrupted>,
    secrets: &Secrets,
) -> Block {
    let mut block = Block::default();
    block.set("command", invocation.display());
    let ran = runs.last.as_ref();
    if let Some(exit) = ran.and_then(|ran| ran.exit) {
        block.set_exit(exit);
    }
    block.set("success", end == Ok(Synced::Yes)).set("attempts", attempts);
    let judgement = ran.and_then(|ran| ran.judgement.as_ref());
    if let Some(judgement) = judgement {
        block.set("outcome", judgement.outcome.as_str()).set("policy", judgement.policy.as_str());
    }
    let mut consequences = runs.consequences.clone();
    if let Err(interrupted) = end {
        consequences.push(interrupted.sentence());
    }
    if !consequences.is_empty() {
        block.set("consequences", json!(consequences));
    }
    if let Some(ran) = ran.filter(|_| end != Ok(Synced::Yes)) {
        let exit = ran.exit.map_or_else(String::new, |exit| format!(" with {}", exit_text(exit)));
        let why = judgement.map(|judgement| judgement.message.as_str());
        let why = secrets.hide(ran.fault.as_deref().or(why).unwrap_or_default().to_owned());
        let times = if attempts == 1 { "attempt" } else { "attempts" };
        if end == Ok(Synced::No) {
            tracing::warn!(attempts, why, "the sync failed");
        }
        block.set_errors(
            Some(format!("dsync failed{exit} after {attempts} {times}. Reason: {why}")),
            &ran.stderr,
            secrets,
        );
    }
    block
}
