//! `dmf.worker.hooks`: the operator's commands before and after, by phase, for all Sources or for one.

use std::{collections::BTreeMap, time::Duration};

use dmf_shared::{
    config::Reader,
    domain::{command::Command, migration::Phase},
};

use super::{CommandSettings, DAY, command, command::DEFAULT};

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

    /// Reads them. What a hook for all Sources names has to be there for every one of them.
    pub(super) fn read(reader: &mut Reader<'_>, commands: &CommandSettings) -> Self {
        let mut reader = HookReader { reader, commands, source: DEFAULT.to_owned() };
        let general = reader.hooks("dmf.worker.hooks", &Hooks::default());
        let mut by_source = BTreeMap::new();
        for source in reader.reader.names("dmf.worker.hooks.source") {
            let key = format!("dmf.worker.hooks.source.{source}");
            reader.source.clone_from(&source);
            by_source.insert(source, reader.hooks(&key, &general));
        }
        let allowed = Duration::from_secs(1)..=DAY;
        let timeout = reader.reader.duration("dmf.worker.hooks.timeout", Duration::from_mins(5), allowed);
        Self { general, by_source, timeout }
    }
}

/// Reads the hooks of one Source, or of all.
struct HookReader<'r, 'p> {
    reader: &'r mut Reader<'p>,
    commands: &'r CommandSettings,
    source: String,
}

impl HookReader<'_, '_> {
    fn hooks(&mut self, key: &str, otherwise: &Hooks) -> Hooks {
        Hooks {
            pre_sync: self.phase(&format!("{key}.pre-sync"), &otherwise.pre_sync),
            cutover: self.phase(&format!("{key}.cutover"), &otherwise.cutover),
        }
    }

    fn phase(&mut self, key: &str, otherwise: &PhaseHooks) -> PhaseHooks {
        let password = format!("{key}.source-password");
        PhaseHooks {
            pre: self.hook(&format!("{key}.pre"), otherwise.pre.as_ref()),
            post: self.hook(&format!("{key}.post"), otherwise.post.as_ref()),
            failure: self.hook(&format!("{key}.failure"), otherwise.failure.as_ref()),
            source_password: self.reader.bool(&password, otherwise.source_password),
        }
    }

    fn hook(&mut self, key: &str, otherwise: Option<&Command>) -> Option<Command> {
        let own = command(self.reader, key);
        self.commands.check_conf(self.reader, key, &self.source, own.as_ref());
        own.or_else(|| otherwise.cloned())
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
