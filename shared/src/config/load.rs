//! Which files make up the configuration, and reading them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{
    environment::Environment,
    error::{Errors, Fault, Origin},
    key::KeyPattern,
    placeholder,
    properties::{Entries, Properties},
    yaml,
};

/// Largest configuration or secret file.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Where a configuration comes from, and how its keys are read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<PathBuf>,
    candidates: Vec<PathBuf>,
    defaults: Vec<(&'static str, &'static str)>,
    verbatim: Vec<KeyPattern>,
}

impl Sources {
    /// Files named on the command line; later ones win.
    #[must_use]
    pub fn files(mut self, files: &[PathBuf]) -> Self {
        self.files = files.to_vec();
        self
    }

    /// Places to look in where neither the command line nor the environment names a file; the first that
    /// exists is taken, and none need exist.
    #[must_use]
    pub fn candidates<P: Into<PathBuf>>(mut self, candidates: impl IntoIterator<Item = P>) -> Self {
        self.candidates = candidates.into_iter().map(Into::into).collect();
        self
    }

    /// Values of keys that no file sets (null in a file counts as not set).
    #[must_use]
    pub fn defaults(mut self, defaults: &[(&'static str, &'static str)]) -> Self {
        self.defaults = defaults.to_vec();
        self
    }

    /// Keys whose spelling is the operator's: `dmf.doveadm.source.*` (one part),
    /// `dmf.doveadm.source.*.command.inject.**` (all that follows).
    #[must_use]
    pub fn verbatim(mut self, patterns: &[&str]) -> Self {
        self.verbatim = patterns.iter().map(|pattern| KeyPattern::new(pattern)).collect();
        self
    }

    /// Reads and merges everything. Files that `MICRONAUT_CONFIG_FILES` names come before those of the
    /// command line, and both replace the candidates.
    pub fn load(&self, environment: Environment) -> Result<Properties, Errors> {
        let mut entries = Entries::default();
        let mut faults = Vec::new();
        for path in self.chosen_files(&environment) {
            match read_text(&path) {
                Ok(text) => {
                    let path = Arc::new(path);
                    faults.extend(yaml::merge(&text, &path, &self.verbatim, &mut entries).err());
                }
                Err(source) => faults.push(Fault::Unreadable { path, source }),
            }
        }
        if faults.is_empty() { self.finish(entries, environment) } else { Err(Errors(faults)) }
    }

    /// As [`Self::load`], from a text instead of files.
    pub fn load_text(&self, text: &str, environment: Environment) -> Result<Properties, Errors> {
        let mut entries = Entries::default();
        let path = Arc::new(PathBuf::from("<text>"));
        yaml::merge(text, &path, &self.verbatim, &mut entries)?;
        self.finish(entries, environment)
    }

    fn chosen_files(&self, environment: &Environment) -> Vec<PathBuf> {
        let mut files = environment.config_files();
        files.extend_from_slice(&self.files);
        if files.is_empty() {
            files.extend(self.candidates.iter().find(|path| path.exists()).cloned());
        }
        files
    }

    fn finish(&self, mut entries: Entries, environment: Environment) -> Result<Properties, Errors> {
        for (key, text) in &self.defaults {
            entries.set_default(key, text);
        }
        let mut properties = Properties { entries, environment, verbatim: self.verbatim.clone() };
        properties.entries = resolve_placeholders(&properties)?;
        Ok(properties)
    }
}

/// Said where the message itself might repeat a part of a password that only looks like a placeholder.
const UNRESOLVED_IN_SECRET: &str =
    "holds a `${` that is no placeholder with a value; give such a secret by environment or file";

fn names_secret(key: &str) -> bool {
    ["password", "secret", "token"].iter().any(|word| key.contains(word))
}

fn resolve_placeholders(properties: &Properties) -> Result<Entries, Errors> {
    let mut resolved = properties.entries.clone();
    let mut faults = Vec::new();
    for (key, text, origin) in resolved.texts_mut() {
        if *origin == Origin::Default || !text.contains("${") || properties.environment.find(key).is_some() {
            continue;
        }
        match placeholder::resolve(text, properties) {
            Ok(value) => *text = Zeroizing::new(value),
            Err(message) => {
                let message = if names_secret(key) { UNRESOLVED_IN_SECRET.to_owned() } else { message };
                faults.push(Fault::Placeholder { key: key.clone(), message, origin: origin.clone() });
            }
        }
    }
    if faults.is_empty() { Ok(resolved) } else { Err(Errors(faults)) }
}

/// The text of a file of bounded size.
pub(super) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(text)
}
