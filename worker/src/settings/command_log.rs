//! `dmf.worker.command.logging`: where the output of the commands of migrations is kept.

use std::{path::PathBuf, time::Duration};

use dmf_shared::config::{Reader, age};

/// What a file's name may be made of, with the values of a migration.
pub const PROPERTIES: [&str; 4] = ["source", "user", "phase", "id"];

/// Where the output of commands goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLogSettings {
    /// Nowhere: records hold the last errors, and nothing else is kept.
    None,
    /// Into the worker's own log.
    Log,
    /// Into files.
    File {
        /// Their names, with `%(source)`, `%(user)`, `%(phase)`, `%(id)`.
        format: String,
        /// Their directory.
        location: PathBuf,
        /// The size at which a file is put aside, in bytes; one older file is kept.
        max_size: u64,
        /// Files that were not written to for so long are deleted; none ever unless set.
        keep: Option<Duration>,
    },
}

impl CommandLogSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let key = |rest: &str| format!("dmf.worker.command.logging.{rest}");
        let format = reader.string_or(&key("file.format"), "%(source)-%(user)-user-migration.log");
        if let Err(fault) = check(&format) {
            reader.reject(&key("file.format"), &fault);
        }
        let location = reader.path_or(&key("file.location"), "/var/log/dmf-worker");
        let max_size = reader.size(&key("file.max-size"), 10 << 20, 64 << 10..=10 << 30);
        let keep = age::read(reader, "dmf.retention.command-log");
        let file = Self::File { format, location, max_size, keep };
        let choices = [("none", Self::None), ("file", file), ("log", Self::Log)];
        reader.choice(&key("type"), &choices, Self::None)
    }
}

/// A format is the name of a file, in which every property is known.
fn check(format: &str) -> Result<(), String> {
    if format.is_empty() || format.starts_with('.') || format.contains(['/', '\0']) {
        return Err("must be the name of a file: no slash, no dot at its beginning".to_owned());
    }
    let allowed = PROPERTIES.map(|property| format!("%({property})")).join(" ");
    for rest in format.split("%(").skip(1) {
        match rest.split_once(')') {
            Some((property, _)) if PROPERTIES.contains(&property) => {}
            _ => return Err(format!("holds an unknown property; there are: {allowed}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_the_name_of_a_file_with_known_properties() {
        for good in ["%(source)-%(user)-user-migration.log", "%(phase)%(id)", "all.log", "100%"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", ".hidden", "a/%(user)", "%(uid)", "%(user", "%()"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
