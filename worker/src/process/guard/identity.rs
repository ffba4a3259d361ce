//! Which sources worker and guard were built from.

/// The content of files, with their names.
macro_rules! sources {
    ($($name:literal),* $(,)?) => { [$(($name, include_bytes!($name).as_slice())),*] };
}

/// All of [`crate::process`]: what worker and guard say to each other, and what each of them does with it.
const SOURCES: [(&str, &[u8]); 20] = sources![
    "../clock.rs",
    "../control.rs",
    "../error.rs",
    "../exit.rs",
    "../frame.rs",
    "../leftover.rs",
    "../message.rs",
    "../mod.rs",
    "../output.rs",
    "../procfs.rs",
    "../program.rs",
    "../record.rs",
    "../spec.rs",
    "../supervisor.rs",
    "control.rs",
    "family.rs",
    "identity.rs",
    "launch.rs",
    "mod.rs",
    "watch.rs",
];

/// FNV-1a of all of them, one after the other.
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv-17#section-2>
const DIGEST: u64 = {
    let mut digest: u64 = 0xcbf2_9ce4_8422_2325;
    let mut file = 0;
    while file < SOURCES.len() {
        let bytes = SOURCES[file].1;
        let mut at = 0;
        while at < bytes.len() {
            digest = (digest ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        file += 1;
    }
    digest
};

/// What `dmf-guard --version` prints: name, version and a digest of the sources.
pub(in crate::process) fn identity() -> String {
    format!("{} {} {DIGEST:016x}", super::PROGRAM, env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn no_source_is_forgotten() {
        let process = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/process");
        let listed = |directory: &Path, prefix: &str| -> Vec<String> {
            let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
            files.map(|path| format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap())).collect()
        };
        let mut all = [listed(&process, "../"), listed(&process.join("guard"), "")].concat();
        all.sort_unstable();
        assert_eq!(SOURCES.map(|(name, _)| name.to_owned()).to_vec(), all);
    }
}
