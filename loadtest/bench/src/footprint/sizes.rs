//! How large the programs are.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Binaries;

use crate::process::megabytes;

/// A row for each program: name, size, compressed size.
pub(super) fn rows(binaries: &Binaries) -> Result<Vec<Vec<String>>> {
    [binaries.scheduler(), binaries.worker(), binaries.guard()].iter().map(|program| row(program)).collect()
}

fn row(program: &Path) -> Result<Vec<String>> {
    let size = program.metadata().with_context(|| program.display().to_string())?.len();
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(vec![name, format!("{:.1}", megabytes(size)), format!("{:.1}", megabytes(compressed(program)?))])
}

fn compressed(program: &Path) -> Result<u64> {
    let output = Command::new("gzip")
        .args(["-9", "-c"])
        .arg(program)
        .stdin(Stdio::null())
        .output()
        .context("run gzip")?;
    ensure!(output.status.success(), "gzip: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_zeros_shrinks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![0; 3_000_000]).unwrap();
        let row = row(file.path()).unwrap();
        assert_eq!((&row[1][..], &row[2][..]), ("3.0", "0.0"));
    }
}
