//! What commands are made of: doveadm, the Sources' values, and the keys of passwords.

use std::{collections::BTreeMap, path::PathBuf};

use dmf_shared::{
    config::{Environment, Errors, Reader},
    crypto::KeyRing,
};

use super::{
    doveadm::{self, DoveadmSettings, SourceSettings},
    sources,
};

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
        Self {
            doveadm: DoveadmSettings::read(reader),
            sources: doveadm::sources(reader),
            keys: KeyRing::read(reader),
        }
    }

    /// The settings for a Source: its own, or else those of `default`.
    pub fn source(&self, name: &str) -> SourceSettings {
        self.sources.get(name).or_else(|| self.sources.get("default")).cloned().unwrap_or_default()
    }
}
