//! The units, as systemd itself checks them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::package::{Package, output};

/// Checks syntax, meaning and programs of a unit, and that it is no more exposed than so many tenths of ten.
fn expect_sound(package: &Package, most_exposed: u32) -> Result<()> {
    let unit = package.unit()?;
    let program = unit.value("ExecStart")?;
    let dir = tempfile::tempdir()?;
    // The machine has the other units; the package is not installed on it.
    output(Command::new("dpkg-deb").arg("--extract").arg(&package.path).arg(dir.path()))?;
    let installed = dir.path().join(program.trim_start_matches('/'));
    let text =
        unit.0.replace(&format!("ExecStart={program}\n"), &format!("ExecStart={}\n", installed.display()));
    let path = dir.path().join(format!("{}.service", package.name));
    fs::write(&path, text)?;
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output()?;
    // A key that it does not know is no failure to it.
    let complaints = String::from_utf8_lossy(&verified.stderr);
    ensure!(verified.status.success() && complaints.is_empty(), "{complaints}");
    let threshold = format!("--threshold={most_exposed}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager", &threshold]).arg(&path);
    output(&mut security).map(drop)
}

#[test]
fn the_schedulers_is_sound_and_well_shielded() -> Result<()> {
    let package = Package::scheduler()?;
    assert_eq!(package.unit()?.value("User")?, "dmf-scheduler");
    expect_sound(&package, 12)
}

/// Less than the scheduler's: it runs programs that write mail.
#[test]
fn the_workers_is_sound_and_shielded() -> Result<()> {
    expect_sound(&Package::worker()?, 34)
}

/// A service that waits for what runs is not killed meanwhile.
#[test]
fn both_give_their_services_time_to_end() -> Result<()> {
    for (package, program) in [
        (Package::scheduler()?, "dmf.scheduler.shutdown.grace: "),
        (Package::worker()?, "dmf.worker.shutdown.grace: "),
    ] {
        let unit = package.unit()?;
        assert_eq!(unit.value("Type")?, "notify");
        assert_eq!(unit.value("RestartPreventExitStatus")?, "78");
        let example = format!("../packaging/{}/{}.yml.example", &package.name[4..], package.name);
        let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(example))?;
        let grace = example.lines().find_map(|line| line.strip_prefix('#')?.strip_prefix(program));
        let grace = seconds(grace.context("the example has no grace time")?)?;
        let limit = seconds(unit.value("TimeoutStopSec")?)?;
        // What gives up then has some seconds more.
        ensure!(limit >= grace + 10, "{}: {limit} s after a grace time of {grace} s", package.name);
    }
    Ok(())
}

/// Of `90`, `30s` or `1m`.
fn seconds(text: &str) -> Result<u32> {
    match text.split_at(text.trim_end_matches(['s', 'm']).len()) {
        (number, "m") => Ok(60 * number.parse::<u32>()?),
        (number, _) => Ok(number.parse()?),
    }
}
