//! `dmf.worker.hooks`: the operator's commands before and after, by phase, for all Sources or for one.

use std::{collections::BTreeMap, time::Duration};

use dmf_shared::{
    config::Reader,
    domain::{command::Command, migration::Phase},
};

use super::{DAY, command};

/// `dmf.worker.hooks`
#[derive(Debug, Clone, Default)]
pub struct HookSettings {
    /// Of Sources that have none of their own.
    general: Hooks,
    /// Of Sources by name; what one does not set is that of all.
    by_source: BTreeMap<String, Hooks>,
    /// Longest time of one hook.
    pub timeout: Duration,
}

/// The hooks of both phases.
#[derive(Debug, Clone, Default)]
struct Hooks {
    pre_sync: PhaseHooks,
    cutover: PhaseHooks,
}

impl HookSettings {
    /// The hooks of a phase for this Source.
    pub fn of(&self, source: &str, phase: Phase) -> &PhaseHooks {
        let hooks = self.by_source.get(source).unwrap_or(&self.general);
        match phase {
            Phase::PreSync => &hooks.pre_sync,
            Phase::Cutover => &hooks.cutover,
        }
    }

    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let nothing = Hooks::default();
        let general = Hooks::read(reader, "dmf.worker.hooks", &nothing);
        let mut by_source = BTreeMap::new();
        for source in reader.names("dmf.worker.hooks.source") {
            let key = format!("dmf.worker.hooks.source.{source}");
            by_source.insert(source, Hooks::read(reader, &key, &general));
        }
        let allowed = Duration::from_secs(1)..=DAY;
        let timeout = reader.duration("dmf.worker.hooks.timeout", Duration::from_mins(5), allowed);
        Self { general, by_source, timeout }
    }
}

impl Hooks {
    fn read(reader: &mut Reader<'_>, key: &str, otherwise: &Self) -> Self {
        Self {
            pre_sync: PhaseHooks::read(reader, &format!("{key}.pre-sync"), &otherwise.pre_sync),
            cutover: PhaseHooks::read(reader, &format!("{key}.cutover"), &otherwise.cutover),
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

impl PhaseHooks {
    fn read(reader: &mut Reader<'_>, key: &str, otherwise: &Self) -> Self {
        let mut read = |name: &str, otherwise: &Option<Command>| {
            command(reader, &format!("{key}.{name}")).or_else(|| otherwise.clone())
        };
        Self {
            pre: read("pre", &otherwise.pre),
            post: read("post", &otherwise.post),
            failure: read("failure", &otherwise.failure),
            source_password: reader.bool(&format!("{key}.source-password"), otherwise.source_password),
        }
    }
}
