//! The order of the steps, and what follows when one of them fails.

use dmf_shared::{
    domain::migration::{Phase, Status},
    store::{Hook, LossCause},
};
use tokio::time::Instant;

use super::{
    Ended, Gathered, Runner,
    count::{CountEnd, Counted},
    database::ANSWER_LIMIT,
    hooks::{self, HookEnd},
    plan::{Plan, Planner},
    step::Interrupted,
    sync::Synced,
};
use crate::held::{Held, Stop};

impl Runner {
    /// Runs everything that this lease is for.
    pub(super) async fn flow(&self, held: &Held, gathered: &mut Gathered) -> Ended {
        if let Some(end) = held.claimed.cleanup {
            return self.run_failure_command(held, gathered, end).await;
        }
        // From the moment its pre command starts, a failure is followed by the failure command.
        let mut begun = held.claimed.pre_started;
        let forward = self.forward(held, gathered, &mut begun).await;
        match (forward, held.stop_reason()) {
            (Ok(Status::Success), _) => Ended::Finished(Status::Success),
            (Ok(status), _) if begun => self.clean_up(held, gathered, status).await,
            (Ok(status), _) => Ended::Finished(status),
            (Err(Interrupted::Stopped), Some(Stop::Cancel)) if begun => {
                match self.clean_up(held, gathered, Status::Aborted).await {
                    Ended::Finished(_) => Ended::Stopped(Stop::Cancel),
                    other => other,
                }
            }
            (Err(Interrupted::Stopped), Some(Stop::Close)) if begun => {
                self.clean_up_closed(held, gathered).await
            }
            (Err(Interrupted::Stopped), stop) => Ended::Stopped(stop.unwrap_or(Stop::HandBack)),
            (Err(interrupted), _) => ended(interrupted),
        }
    }

    /// Notes that `end` is decided, so that a loss from now on can't run the sync again, and runs the
    /// failure command.
    async fn clean_up(&self, held: &Held, gathered: &mut Gathered, end: Status) -> Ended {
        let claimed = &held.claimed;
        let result = gathered.result(end);
        let note = || self.claimant.store.note_end(&claimed.source, claimed.job, claimed.epoch, &result);
        // A migration that is told to stop has its end noted all the same.
        match tokio::time::timeout(ANSWER_LIMIT, note()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ended::Lost,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the decided end could not be noted"
                );
            }
            Err(_) => tracing::warn!("the decided end could not be noted in time"),
        }
        self.run_failure_command(held, gathered, end).await
    }

    /// An operator closed it: as a success there is nothing to undo.
    async fn clean_up_closed(&self, held: &Held, gathered: &mut Gathered) -> Ended {
        let closed_as = match self.closed_as(held).await {
            Ok(closed_as) => closed_as,
            Err(interrupted) => return ended(interrupted),
        };
        if closed_as != Some(Status::Success) {
            match self.run_failure_command(held, gathered, Status::Aborted).await {
                Ended::Finished(_) => {}
                other => return other,
            }
        }
        Ended::Stopped(Stop::Close)
    }

    /// Runs the failure command of the phase, if there is one, and ends with `end` whatever it does.
    async fn run_failure_command(&self, held: &Held, gathered: &mut Gathered, end: Status) -> Ended {
        match self.hook(held, hooks::Kind::Failure, gathered).await {
            Ok(_) => Ended::Finished(end),
            Err(interrupted) => ended(interrupted),
        }
    }

    async fn forward(
        &self,
        held: &Held,
        gathered: &mut Gathered,
        begun: &mut bool,
    ) -> Result<Status, Interrupted> {
        let planned = Planner::new(&self.settings.command, &self.setup, &held.claimed)
            .and_then(|planner| planner.plan());
        let plan = match planned {
            Ok(plan) => plan,
            Err(refused) => {
                gathered.details.push("dsync", refused.block());
                return Ok(Status::Failure);
            }
        };
        if self.gates(held)
            && let Err(refused) = &plan.remote_count
        {
            // It would lock the user out, copy for hours, and fail for certain.
            gathered.details.push("count remote mailbox", refused.block());
            return Ok(Status::Failure);
        }
        let refused = self.refused_hooks(held);
        if !refused.is_empty() {
            for (kind, refused) in refused {
                gathered.details.push(kind.step(), refused.block());
            }
            return Ok(Status::Failure);
        }
        *begun = true;
        if self.noted_hook(held, Hook::Pre, hooks::Kind::Pre, gathered).await? == HookEnd::Failed {
            return Ok(Status::Failure);
        }
        // Once the post command had started the copy was complete, and the route may have been flipped:
        // another sync would delete what arrived on the target since.
        let copied = held.claimed.phase == Phase::Cutover && held.claimed.post_started;
        if !copied && self.copy(held, &plan, gathered).await? == Synced::No {
            return Ok(Status::Failure);
        }
        if self.noted_hook(held, Hook::Post, hooks::Kind::Post, gathered).await? == HookEnd::Failed {
            return Ok(Status::Failure);
        }
        Ok(Status::Success)
    }

    /// Counts, copies, counts again, compares.
    async fn copy(&self, held: &Held, plan: &Plan, gathered: &mut Gathered) -> Result<Synced, Interrupted> {
        let deadline = Instant::now() + self.settings.sync.timeout;
        if self.settings.count.local_pre || self.guards_target(held) {
            let name = "count local mailbox pre sync";
            let before = self.count(held, &plan.local_count, name, deadline, gathered).await?;
            if let CountEnd::Counted(found) = &before {
                gathered.moved.see_target(gathered.attempt, found);
            }
            if self.guard_target(held, before, gathered).await? == Synced::No {
                return Ok(Synced::No);
            }
        }
        if self.sync(held, &plan.sync, deadline, gathered).await? == Synced::No {
            return Ok(Synced::No);
        }
        let mut target = None;
        if self.settings.count.local_post {
            let name = "count local mailbox post sync";
            target = self.count(held, &plan.local_count, name, deadline, gathered).await?.counted();
            gathered.counts.target_message_count = target.as_ref().map(Counted::messages);
            gathered.counts.target_mailbox_size = target.as_ref().map(Counted::vsize);
        }
        let mut source = None;
        if self.settings.count.remote {
            let name = "count remote mailbox";
            match &plan.remote_count {
                Ok(count) => source = self.count(held, count, name, deadline, gathered).await?.counted(),
                Err(refused) => gathered.details.push(name, refused.block()),
            }
            gathered.counts.source_message_count = source.as_ref().map(Counted::messages);
            gathered.counts.source_mailbox_size = source.as_ref().map(Counted::vsize);
        }
        let counted = [source.as_ref(), target.as_ref()].into_iter().flatten();
        let names = counted.flat_map(|counted| &counted.0).map(|status| &status.mailbox[..]);
        gathered.moved.restore_names(names);
        gathered.show_moved();
        let prefix = plan.list_prefix.as_deref();
        Ok(self.verify(held, prefix, source.as_ref(), target.as_ref(), gathered))
    }
}

fn ended(interrupted: Interrupted) -> Ended {
    match interrupted {
        Interrupted::LeaseLost => Ended::Lost,
        Interrupted::Survivors => Ended::Undead,
        Interrupted::Later(pause) => Ended::Later(pause),
        Interrupted::Refused => Ended::Broken(LossCause::Refused),
        Interrupted::Stopped => Ended::Stopped(Stop::HandBack),
    }
}
