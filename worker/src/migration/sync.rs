//! The sync command, with its retries.

use std::time::Duration;

use dmf_shared::domain::{
    clock,
    migration::Phase,
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

/// How a run is followed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It is the last one.
    End(Synced),
    /// Another one after this pause.
    Again(Duration),
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
        let mut attempts = 0;
        let (ran, synced) = loop {
            attempts += 1;
            gathered.attempt += 1;
            let timeout = until(deadline, self.settings.sync.timeout);
            let ran = self.run_once(held, "dsync", invocation, timeout).await?;
            moved.add(ran.stderr.counts());
            match self.next(&ran, attempts, held.claimed.phase) {
                Next::End(synced) => break (ran, synced),
                Next::Again(pause) => {
                    let why = ran.judgement.as_ref().map_or("", |judgement| &judgement.message);
                    tracing::warn!(attempts, ?pause, why, "the sync command will be run again");
                    self.pause(held, pause).await?;
                }
            }
        };
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        gathered.counts.sync_speed = Some(duration_ms);
        gathered.counts.sync_message_count = Some(moved.total_saved());
        gathered.counts.expunged_message_count = Some(moved.total_expunged());
        let mut block = block(invocation, &ran, attempts, synced, &moved);
        block.set("started", clock::to_text(started)).set("durationMs", duration_ms);
        gathered.details.push("dsync", block);
        Ok(synced)
    }

    /// What follows a run.
    fn next(&self, ran: &Ran, attempts: u32, phase: Phase) -> Next {
        let Some(judgement) = ran.judgement.as_ref().filter(|_| ran.fault.is_none()) else {
            return Next::End(Synced::No);
        };
        if judgement.outcome == Outcome::Success {
            return Next::End(Synced::Yes);
        }
        let allowed = judgement.policy.further_runs();
        let delay = self.settings.sync.retry.delay_after(attempts, fastrand::f64());
        let again = match judgement.policy {
            Policy::Rerun | Policy::RetryOnce if allowed.is_some_and(|runs| attempts > runs) => None,
            Policy::Rerun => Some(Duration::ZERO),
            // A source host at its limit, or a target in trouble, may have room after the same pause.
            Policy::Retry | Policy::RetryOnce | Policy::BackOffHost | Policy::LeaveWorker => delay,
            Policy::Accept | Policy::FailUser | Policy::SuspendHost => None,
        };
        match again {
            Some(pause) => Next::Again(pause),
            None if judgement.outcome.is_accepted_at_end(phase) => Next::End(Synced::Yes),
            None => Next::End(Synced::No),
        }
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
