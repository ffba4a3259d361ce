//! Hooks: the operator's own commands around a migration. They may run again after a loss, so they must
//! be idempotent; `DMF_ATTEMPT` and `DMF_EPOCH` tell one run from another.

use dmf_shared::{
    domain::{clock, command::Command},
    store::Hook,
};
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Gathered, Runner,
    details::{Block, exit_text},
    plan::{Planner, Refused},
    secrets::Secrets,
    step::{Interrupted, Ran},
};
use crate::{
    doveadm::argv::Invocation,
    held::Held,
    process::{EnvVar, Exit, Limits},
};

/// Which hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Before all.
    Pre,
    /// After a success.
    Post,
    /// After a failure.
    Failure,
}

impl Kind {
    /// Its block in `details`.
    pub(super) const fn step(self) -> &'static str {
        match self {
            Self::Pre => "pre sync command",
            Self::Post => "post sync command",
            Self::Failure => "failure sync command",
        }
    }
}

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HookEnd {
    /// It succeeded, or none is configured.
    Done,
    /// It failed.
    Failed,
}

impl Runner {
    fn hook_command(&self, held: &Held, kind: Kind) -> Option<&Command> {
        let hooks = self.settings.hooks.of(held.claimed.source.name.as_str(), held.claimed.phase);
        match kind {
            Kind::Pre => hooks.pre.as_ref(),
            Kind::Post => hooks.post.as_ref(),
            Kind::Failure => hooks.failure.as_ref(),
        }
    }

    /// The hooks of this migration that can't be run for its user, before anything is: nobody is locked out by
    /// a command whose counterpart can't let them in again.
    pub(super) fn refused_hooks(&self, held: &Held) -> Vec<(Kind, Refused)> {
        let refused = |kind: Kind| {
            let command = self.hook_command(held, kind)?;
            let planner = Planner::new(&self.settings.command, &self.setup, &held.claimed);
            Some((kind, planner.and_then(|planner| planner.hook(command)).err()?))
        };
        [Kind::Pre, Kind::Post, Kind::Failure].into_iter().filter_map(refused).collect()
    }

    /// Runs a hook whose start is noted first; while MariaDB can't note it, it is not started.
    pub(super) async fn noted_hook(
        &self,
        held: &Held,
        hook: Hook,
        kind: Kind,
        gathered: &mut Gathered,
    ) -> Result<HookEnd, Interrupted> {
        if self.hook_command(held, kind).is_none() {
            return Ok(HookEnd::Done);
        }
        let claimed = &held.claimed;
        let note = || self.claimant.store.note_hook(&claimed.source, claimed.job, claimed.epoch, hook);
        self.note(held, kind.step(), note).await?;
        self.hook(held, kind, gathered).await
    }

    /// Runs a hook, if one is configured. A failure command runs although the migration was told to stop.
    pub(super) async fn hook(
        &self,
        held: &Held,
        kind: Kind,
        gathered: &mut Gathered,
    ) -> Result<HookEnd, Interrupted> {
        let Some(command) = self.hook_command(held, kind) else { return Ok(HookEnd::Done) };
        let step = kind.step();
        let (commands, claimed) = (&self.settings.command, &held.claimed);
        let planned = Planner::new(commands, &self.setup, claimed).and_then(|planner| planner.hook(command));
        // Nobody stays locked out because a password does not open: a failure command rarely needs it.
        let planned = planned.or_else(|refused| match kind {
            Kind::Failure => {
                Planner::without_password(commands, &self.setup, claimed).hook(command).map_err(|_| refused)
            }
            Kind::Pre | Kind::Post => Err(refused),
        });
        let (invocation, password) = match planned {
            Ok(planned) => planned,
            Err(refused) => {
                gathered.details.push(step, refused.block());
                return Ok(HookEnd::Failed);
            }
        };
        let stop = if kind == Kind::Failure { CancellationToken::new() } else { held.stop_token() };
        let limits = Limits::new(held.clock(), self.settings.hooks.timeout, stop);
        let (started, begun) = (self.clock.now(), Instant::now());
        let env = self.hook_environment(held, gathered.attempt, password);
        let ran = self.run_within(held, step, &invocation, limits, env, &gathered.secrets).await?;
        let success = ran.exit == Some(Exit::Code(invocation.success_code)) && ran.fault.is_none();
        let mut block = block(&invocation, &ran, success, &gathered.secrets);
        block.set("started", clock::to_text(started));
        block.set("durationMs", u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        gathered.details.push(step, block);
        if success {
            return Ok(HookEnd::Done);
        }
        tracing::warn!(step, "the command failed");
        Ok(HookEnd::Failed)
    }

    fn hook_environment(&self, held: &Held, attempt: u32, password: Option<SecretString>) -> Vec<EnvVar> {
        let claimed = &held.claimed;
        let mut env = vec![
            EnvVar::new("DMF_ATTEMPT", attempt.to_string()),
            EnvVar::new("DMF_EPOCH", claimed.epoch.to_string()),
            EnvVar::new("DMF_PHASE", claimed.phase.as_str().to_owned()),
            EnvVar::new("DMF_SOURCE", claimed.source.name.to_string()),
            EnvVar::new("DMF_SOURCE_UID", claimed.user.source_uid.clone()),
            EnvVar::new("DMF_TARGET_UID", claimed.user.target_uid.clone()),
        ];
        if self.settings.hooks.of(claimed.source.name.as_str(), claimed.phase).source_password
            && let Some(password) = password
        {
            env.push(EnvVar::new("DMF_SOURCE_PASSWORD", password));
        }
        env
    }
}

fn block(invocation: &Invocation, ran: &Ran, success: bool, secrets: &Secrets) -> Block {
    let mut block = Block::default();
    block.set("success", success).set("command", invocation.display());
    if let Some(exit) = ran.exit {
        block.set_exit(exit);
    }
    if !success {
        let end = ran.exit.map_or_else(String::new, |exit| format!(" with {}", exit_text(exit)));
        let why = ran.fault.as_deref().map_or_else(String::new, |fault| format!(" Reason: {fault}"));
        block.set_errors(Some(format!("The command failed{end}.{why}")), &ran.stderr, secrets);
    }
    block
}
