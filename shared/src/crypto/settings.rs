//! The keys as the configuration names them.

use super::{KeyFile, KeyRing, KeySpec};
use crate::config::Reader;

/// The single key of the original.
const SINGLE: &str = "dmf.crypto.storage-key";
/// Several keys, so that one can take the place of another.
const SEVERAL: &str = "dmf.crypto.storage-keys";

impl KeyRing {
    /// Loads `dmf.crypto.storage-key` and `dmf.crypto.storage-keys[]` (`alias`, `file`, `secret` each);
    /// the first of them seals. What can't be loaded is reported to the reader.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mut keys: Vec<_> = std::iter::once(SINGLE.to_owned())
            .chain((0..reader.len(SEVERAL)).map(|index| format!("{SEVERAL}[{index}]")))
            .filter_map(|key| Some((key_spec(reader, &key)?, key)))
            .collect();
        // One by one first, so that each fault stands beside its own key.
        keys.retain(|(spec, key)| match Self::load(std::slice::from_ref(spec)) {
            Ok(_) => true,
            Err(errors) => {
                for error in errors {
                    reader.reject(key, &full_text(&error));
                }
                false
            }
        });
        let specs: Vec<_> = keys.into_iter().map(|(spec, _)| spec).collect();
        Self::load(&specs).unwrap_or_else(|errors| {
            for error in errors {
                reader.reject(SEVERAL, &full_text(&error));
            }
            Self::default()
        })
    }
}

fn full_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn key_spec(reader: &mut Reader<'_>, key: &str) -> Option<KeySpec> {
    let (alias_key, file_key) = (format!("{key}.alias"), format!("{key}.file"));
    let alias = reader.string(&alias_key).filter(|alias| !alias.is_empty());
    let file = reader.parsed(&file_key, "a path, or keystore: and a path", KeyFile::parse);
    let secret = reader.secret(&format!("{key}.secret"));
    match (alias, file) {
        (Some(alias), Some(file)) => Some(KeySpec { alias, file, secret }),
        (Some(_), None) if !reader.is_set(&file_key) => {
            reader.missing(&file_key);
            None
        }
        (None, Some(_)) => {
            reader.missing(&alias_key);
            None
        }
        _ => None,
    }
}
