//! `dmf.worker.hooks`: the operator's commands before and after, by phase.

use std::time::Duration;

use dmf_shared::{
    config::Reader,
    domain::{command::Command, migration::Phase},
};

use super::{DAY, command};

/// `dmf.worker.hooks`
#[derive(Debug, Clone, Default)]
pub struct HookSettings {
    /// Of `PRE_SYNC`.
    pub pre_sync: PhaseHooks,
    /// Of CUTOVER.
    pub cutover: PhaseHooks,
    /// Longest time of one hook.
    pub timeout: Duration,
}

impl HookSettings {
    /// The hooks of a phase.
    pub const fn of(&self, phase: Phase) -> &PhaseHooks {
        match phase {
            Phase::PreSync => &self.pre_sync,
            Phase::Cutover => &self.cutover,
        }
    }
}

/// The commands of one phase.
#[derive(Debug, Clone, Default)]
pub struct PhaseHooks {
    /// Before all; when it fails, nothing else runs.
    pub pre: Option<Command>,
    /// After a success.
    pub post: Option<Command>,
    /// After any failure, and when a migration was cancelled or given up.
    pub failure: Option<Command>,
    /// Whether they get the user's password as `DMF_SOURCE_PASSWORD`.
    pub source_password: bool,
}

impl HookSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let mut of = |phase: &str| {
            let key = |name: &str| format!("dmf.worker.hooks.{phase}.{name}");
            PhaseHooks {
                pre: command(reader, &key("pre")),
                post: command(reader, &key("post")),
                failure: command(reader, &key("failure")),
                source_password: reader.bool(&key("source-password"), false),
            }
        };
        let (pre_sync, cutover) = (of("pre-sync"), of("cutover"));
        let allowed = Duration::from_secs(1)..=DAY;
        Self {
            pre_sync,
            cutover,
            timeout: reader.duration("dmf.worker.hooks.timeout", Duration::from_mins(5), allowed),
        }
    }
}
