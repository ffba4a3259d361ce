//! The order of the steps, and what follows when one of them fails.

use dmf_shared::{domain::migration::Status, store::Hook};
use tokio::time::Instant;

use super::{
    Ended, Gathered, Runner,
    count::Counted,
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
            return self.clean_up(held, gathered, end).await;
        }
        // From the moment its pre command starts, a failure is followed by the failure command.
        let mut begun = held.claimed.pre_started;
        let forward = self.forward(held, gathered, &mut begun).await;
        let stop = held.stop_reason();
        match (forward, stop) {
            (Ok(Status::Success), _) => Ended::Finished(Status::Success),
            (Ok(status), _) if begun => self.clean_up(held, gathered, status).await,
            (Ok(status), _) => Ended::Finished(status),
            (Err(Interrupted::Stopped), Some(stop @ (Stop::Cancel | Stop::Close))) if begun => {
                match self.clean_up(held, gathered, Status::Aborted).await {
                    Ended::Finished(_) => Ended::Stopped(stop),
                    other => other,
                }
            }
            (Err(Interrupted::Stopped), stop) => Ended::Stopped(stop.unwrap_or(Stop::HandBack)),
            (Err(interrupted), _) => ended(interrupted),
        }
    }

    /// Runs the failure command of the phase, if there is one, and ends with `end` whatever it does.
    async fn clean_up(&self, held: &Held, gathered: &mut Gathered, end: Status) -> Ended {
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
        *begun = true;
        if self.noted_hook(held, Hook::Pre, hooks::Kind::Pre, gathered).await? == HookEnd::Failed {
            return Ok(Status::Failure);
        }
        if self.copy(held, &plan, gathered).await? == Synced::No {
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
        if self.settings.count.local_pre {
            let name = "count local mailbox pre sync";
            let before = self.count(held, &plan.local_count, name, deadline, gathered).await?;
            if self.guard_target(held, before.as_ref(), gathered).await? == Synced::No {
                return Ok(Synced::No);
            }
        }
        if self.sync(held, &plan.sync, deadline, gathered).await? == Synced::No {
            return Ok(Synced::No);
        }
        let mut target = None;
        if self.settings.count.local_post {
            let name = "count local mailbox post sync";
            target = self.count(held, &plan.local_count, name, deadline, gathered).await?;
            gathered.counts.target_message_count = target.as_ref().map(Counted::messages);
            gathered.counts.target_mailbox_size = target.as_ref().map(Counted::vsize);
        }
        let mut source = None;
        if self.settings.count.remote {
            let name = "count remote mailbox";
            match &plan.remote_count {
                Ok(count) => source = self.count(held, count, name, deadline, gathered).await?,
                Err(refused) => gathered.details.push(name, refused.block()),
            }
            gathered.counts.source_message_count = source.as_ref().map(Counted::messages);
            gathered.counts.source_mailbox_size = source.as_ref().map(Counted::vsize);
        }
        Ok(self.verify(held, source.as_ref(), target.as_ref(), gathered))
    }
}

fn ended(interrupted: Interrupted) -> Ended {
    match interrupted {
        Interrupted::LeaseLost => Ended::Lost,
        Interrupted::Survivors => Ended::Undead,
        Interrupted::Later(pause) => Ended::Later(pause),
        Interrupted::Stopped => Ended::Stopped(Stop::HandBack),
    }
}
