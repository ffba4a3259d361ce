//! A report: what was measured, on what machine, with which versions.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// A report in Markdown that grows while its part is measured.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    text: String,
    failures: Vec<String>,
}

/// How a cell begins whose goal was not reached.
pub(crate) const MISSED: &str = "**missed**";

impl Report {
    /// Begins with the machine and the versions.
    pub(crate) fn new(name: &str, quick: bool) -> Result<Self> {
        let mut report = Self { name: name.to_owned(), text: String::new(), failures: Vec::new() };
        let pass = if quick { ", quick pass" } else { "" };
        report.line(&format!("# {name}{pass}\n"));
        report.line(&machine()?);
        Ok(report)
    }

    /// Adds a paragraph or a row.
    pub(crate) fn line(&mut self, text: &str) {
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "{text}");
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
        self.line("");
    }

    /// Says why a goal is missed and what was tried, below rows of which one says that it is.
    pub(crate) fn why(&mut self, rows: &[Vec<String>], why: &str) {
        if rows.iter().flatten().any(|cell| cell.starts_with(MISSED)) {
            self.line(&format!("Where the goal is missed: {why}\n"));
        }
    }

    /// Notes what must not be as it is: the run fails by it once all reports are written.
    pub(crate) fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// What was noted so.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Writes `<name>.md` into this directory, in the place of the last one.
    pub(crate) fn write(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let path = directory.join(format!("{}.md", self.name));
        fs::write(&path, &self.text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

/// One line: processors, memory, kernel, versions.
fn machine() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let build = if cfg!(debug_assertions) { ", **debug build**" } else { "" };
    Ok(format!(
        "{cores} × {model}, {} GiB, Linux {}; load before the start {load}{build}. {}; {}.\n",
        kib >> 20,
        kernel.trim(),
        version_of("mariadbd", &["--version"])?,
        version_of("redis-server", &["--version"])?,
    ))
}

/// Name and version of an installed program.
pub(crate) fn version_of(program: &str, arguments: &[&str]) -> Result<String> {
    let path =
        ["/usr/bin", "/usr/sbin"].iter().map(|dir| Path::new(dir).join(program)).find(|path| path.exists());
    let output = Command::new(path.unwrap_or_else(|| program.into())).args(arguments).output();
    let output = output.with_context(|| program.to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    let version =
        words.iter().find(|word| word.trim_start_matches("v=").starts_with(|c: char| c.is_ascii_digit()));
    Ok(format!("{program} {}", version.unwrap_or(&"?").trim_start_matches("v=")))
}
