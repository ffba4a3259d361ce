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
    step::{Interrupted, Ran},
    until,
};
use crate::{
    doveadm::{argv::Invocation, mail_log::MailCounts},
    held::Held,
};

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
    /// Runs the sync command until it succeeds or its policy says that it is enough, and records it.
    pub(super) async fn sync(
        &self,
        held: &Held,
        invocation: &Invocation,
        deadline: Instant,
        gathered: &mut Gathered,
    ) -> Result<Synced, Interrupted> {
        let (started, begun) = (self.clock.now(), Instant::now());
        let mut moved = MailCounts::default();
        let mut runs = Runs::default();
        let (ran, synced) = loop {
            gathered.attempt += 1;
            let (claimed, attempt) = (&held.claimed, gathered.attempt);
            // Noted first: from now on nobody knows how much is on the target.
            let note =
                || self.claimant.store.note_attempt(&claimed.source, claimed.job, claimed.epoch, attempt);
            self.note(held, "an attempt", note).await?;
            let timeout = until(deadline, self.settings.sync.timeout);
            let ran = self.run_once(held, "dsync", invocation, timeout).await?;
            moved.add(ran.stderr.counts());
            runs.count(ran.judgement.as_ref().map(|judgement| judgement.policy));
            let attempts = runs.all;
            match self.next(held, &ran, &runs, gathered.attempt) {
                Next::End(synced) => break (ran, synced),
                Next::Again(pause) => {
                    let why = ran.judgement.as_ref().map_or("", |judgement| &judgement.message);
                    tracing::warn!(attempts, ?pause, why, "the sync command will be run again");
                    self.pause(held, pause).await?;
                }
                Next::Later(pause) => {
                    if let Some(judgement) = &ran.judgement {
                        tracing::warn!(
                            attempts,
                            ?pause,
                            why = judgement.message,
                            "handing back until the next attempt"
                        );
                        self.draw_consequences(held, judgement, invocation.master_user).await;
                    }
                    return Err(Interrupted::Later(pause));
                }
            }
        };
        if let Some(judgement) = &ran.judgement {
            self.draw_consequences(held, judgement, invocation.master_user).await;
        }
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        gathered.counts.sync_speed = Some(duration_ms);
        gathered.counts.sync_message_count = Some(moved.total_saved());
        gathered.counts.expunged_message_count = Some(moved.total_expunged());
        let mut block = block(invocation, &ran, runs.all, synced, &moved);
        block.set("started", clock::to_text(started)).set("durationMs", duration_ms);
        gathered.details.push("dsync", block);
        Ok(synced)
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
            self.claimant.table.rest(self.settings.suspend.backend);
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

fn block(invocation: &Invocation, ran: &Ran, attempts: u32, synced: Synced, moved: &MailCounts) -> Block {
    let mut block = Block::default();
    block.set("command", invocation.display());
    if let Some(exit) = ran.exit {
        block.set_exit(exit);
    }
    block.set("success", synced == Synced::Yes).set("attempts", attempts);
    if let Some(judgement) = &ran.judgement {
        block.set("outcome", judgement.outcome.as_str());
    }
    if !moved.saved.is_empty() {
        block.set("saved", json!(moved.saved));
    }
    if !moved.expunged.is_empty() {
        block.set("expunged", json!(moved.expunged));
    }
    if synced == Synced::No {
        let end = ran.exit.map_or_else(String::new, |exit| format!(" with {}", exit_text(exit)));
        let why = ran.judgement.as_ref().map(|judgement| judgement.message.as_str());
        let why = ran.fault.as_deref().or(why).unwrap_or_default();
        let runs = if attempts == 1 { "attempt" } else { "attempts" };
        tracing::warn!(attempts, why, "the sync failed");
        block.set_errors(
            Some(format!("dsync failed{end} after {attempts} {runs}. Reason: {why}")),
            &ran.stderr,
        );
    }
    block
}
