//! The record: a name and a count a line, beside this file.

use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

use super::{COMMAND, TOLERANCE};

pub(crate) struct Record(String);

impl Record {
    pub(crate) fn read() -> Self {
        Self(fs::read_to_string(path()).expect("recorded.txt"))
    }

    pub(crate) fn write(counts: &[(&str, u64)]) {
        let compiler = Command::new("rustc").arg("--version").output().expect("rustc").stdout;
        let compiler = String::from_utf8_lossy(&compiler);
        let mut text = format!("# {}\n# {COMMAND}\n", compiler.trim());
        for (name, count) in counts {
            writeln!(text, "{name} {count}").unwrap();
        }
        fs::write(path(), text).expect("recorded.txt");
    }

    /// What it was recorded with.
    pub(crate) fn compiler(&self) -> &str {
        self.0.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// What is wrong with this count.
    pub(crate) fn fault(&self, name: &str, count: u64) -> Option<String> {
        let found = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let Some(recorded) = found else {
            return Some(format!("{name}: nothing recorded, measured {count}"));
        };
        let recorded: u64 = recorded.parse().expect("recorded.txt");
        let (low, high) = (recorded * (100 - TOLERANCE), recorded * (100 + TOLERANCE));
        if (low..=high).contains(&(count * 100)) {
            return None;
        }
        let (sign, difference) =
            if count > recorded { ('+', count - recorded) } else { ('-', recorded - count) };
        let percent = difference * 100 / recorded.max(1);
        Some(format!(
            "{name}: recorded {recorded}, measured {count} ({sign}{percent} %, {TOLERANCE} % are allowed)"
        ))
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/counts/recorded.txt")
}
