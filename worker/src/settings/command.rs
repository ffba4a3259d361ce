//! What commands are made of: doveadm, the Sources' values, and the keys of passwords.

use std::{collections::BTreeMap, path::PathBuf};

use dmf_shared::{
    config::{Environment, Errors, Reader},
    crypto::KeyRing,
    domain::{
        command::Command,
        inject::{CommandTemplate, Properties},
    },
};

use super::{
    doveadm::{self, DoveadmSettings, SourceSettings},
    sources,
};

/// Stands for every Source.
pub(super) const DEFAULT: &str = "default";

/// Everything that rendering a command needs.
#[derive(Debug)]
pub struct CommandSettings {
    /// doveadm.
    pub doveadm: DoveadmSettings,
    /// Settings by Source; `default` stands for every Source that is not named.
    pub sources: BTreeMap<String, SourceSettings>,
    /// Keys that open users' passwords.
    pub keys: KeyRing,
}

impl CommandSettings {
    /// Reads these settings alone, for tools that run nothing: all other keys are passed over.
    pub fn load(files: &[PathBuf], environment: Environment) -> Result<Self, Errors> {
        let properties = sources(files).load(environment)?;
        let mut reader = Reader::new(&properties);
        let settings = Self::read(&mut reader);
        reader.finish().map(|_| settings)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            doveadm: DoveadmSettings::read(reader),
            sources: doveadm::sources(reader),
            keys: KeyRing::read(reader),
        };
        settings.check_properties(reader);
        settings
    }

    /// The settings for a Source: its own, and those of `default` where it has none.
    pub fn source(&self, name: &str) -> SourceSettings {
        let own = self.sources.get(name).cloned().unwrap_or_default();
        match self.sources.get(DEFAULT) {
            Some(default) if name != DEFAULT => own.or(default),
            _ => own,
        }
    }

    /// Rejects commands that name a `%{conf:…}` which their Source does not have.
    fn check_properties(&self, reader: &mut Reader<'_>) {
        for (name, own) in &self.sources {
            let commands =
                [("migration1", &own.migration1), ("migration2", &own.migration2), ("status", &own.status)];
            for (field, command) in commands {
                let key = format!("dmf.doveadm.source.{name}.command.{field}");
                self.check_conf(reader, &key, name, command.as_ref());
            }
        }
    }

    /// Rejects the command at `key` when it names a `%{conf:…}` which the Source does not have.
    pub(super) fn check_conf(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        source: &str,
        command: Option<&Command>,
    ) {
        // What is wrong with the command itself was said when it was read.
        let Some(compiled) = command.and_then(|command| CommandTemplate::compile(command).ok()) else {
            return;
        };
        let source = self.source(source);
        let properties =
            Properties { conf: source.conf(), inject: source.inject.clone(), ..Properties::default() };
        for fault in compiled.template.unknown_conf(&properties) {
            reader.reject(key, &fault.to_string());
        }
    }
}
