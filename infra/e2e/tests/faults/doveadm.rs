//! A doveadm that behaves as badly as programs can.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Fleet;
use dmf_lab::programs::DOVEADM;
use serde_json::Value;

use crate::field::{Field, on_field};

/// Bytes that the flood has on each of its two pipes.
const FLOOD: u64 = 1 << 30;
/// Most memory that a worker or a guard may gain by a flood, in KiB; it keeps 16 MiB of what a command prints.
const MOST_KIB: u64 = 96 << 10;

/// Runs doveadm, but when it is told to copy a user, does something else first, by the user's name. `begun` in the
/// directory tells whether it has done so before.
fn bad_doveadm(dir: &Path) -> Result<PathBuf> {
    let real = DOVEADM.locate()?;
    let (path, begun) = (dir.join("doveadm"), dir.join("begun"));
    let script = format!(
        r#"#!/bin/sh
real() {{ exec {real} "$@"; }}
user=
for arg in "$@"; do
    [ "$last" = -u ] && user=$arg
    [ "$arg" = backup ] && copies=yes
    last=$arg
done
[ "$copies" ] || real "$@"
case $user in
    stubborn) trap '' TERM; echo begun > {begun}-$user; while :; do sleep 0.1; done ;;
    parent)
        [ -e {begun}-$user ] && real "$@"
        echo begun > {begun}-$user
        setsid sleep 86411 & sleep 86411 & (setsid sleep 86411 &)
        exit 75 ;;
    flood)
        echo begun > {begun}-$user
        head -c {FLOOD} /dev/zero & head -c {FLOOD} /dev/zero >&2
        wait; exit 65 ;;
    crash) kill -SEGV $$ ;;
    crash-once)
        [ -e {begun}-$user ] && real "$@"
        echo begun > {begun}-$user
        kill -ABRT $$ ;;
esac
real "$@"
"#,
        real = real.display(),
        begun = begun.display(),
    );
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    symlink(real.with_file_name("doveconf"), dir.join("doveconf"))?;
    Ok(path)
}

async fn on_bad_doveadm(test: impl AsyncFnOnce(&Field<'_>, &Path) -> Result<()>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let builder = Fleet::builder().doveadm(bad_doveadm(dir.path())?);
    on_field(builder, 2, async |field| test(field, dir.path()).await).await
}

/// The block of the copy in a user's record.
async fn copy(field: &Field<'_>, user: &str) -> Result<Value> {
    let record = field.customer.latest(user).await?;
    let blocks = record["details"].as_array().with_context(|| record.to_string())?;
    let copies: Vec<&Value> =
        blocks.iter().map(|block| &block["dsync"]).filter(|copy| !copy.is_null()).collect();
    ensure!(copies.len() == 1, "{record}");
    Ok(copies[0].clone())
}

async fn wait_until_begun(field: &Field<'_>, dir: &Path, user: &str) -> Result<()> {
    field
        .wait_until(&format!("{user} did not begin"), async || {
            ensure!(dir.join(format!("begun-{user}")).exists(), "no sign of it");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_doveadm_that_ignores_sigterm_is_killed_when_it_is_cancelled() -> Result<()> {
    on_bad_doveadm(async |field, dir| {
        field.submit("stubborn").await?;
        wait_until_begun(field, dir, "stubborn").await?;
        let child = field.child_of("stubborn").await?;
        ensure!(field.cancel("stubborn").await? == 202, "the cancel was refused");
        // The slot is the stubborn one's until it is dead.
        field.wait_for_row("stubborn", "ABORTED").await?;
        ensure!(!child.child.lives() && !child.guard.lives(), "aborted while {child:?} lives");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_doveadm_leaves_behind_is_gone_before_it_is_run_again() -> Result<()> {
    on_bad_doveadm(async |field, _| {
        let truth = field.submit("parent").await?;
        field.expect_success(&[("parent".to_owned(), truth)].into()).await?;
        let copy = copy(field, "parent").await?;
        ensure!(copy["attempts"] == 2 && copy["success"] == true, "{copy}");
        let left = sleepers("86411");
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    })
    .await
}

/// Processes that sleep for so long.
fn sleepers(secs: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with("sleep\0") && line.contains(secs)).collect()
}

#[tokio::test]
async fn gigabytes_on_both_pipes_cost_no_memory() -> Result<()> {
    on_bad_doveadm(async |field, dir| {
        let worker = field.worker(1).pid().context("no worker")?;
        let before = resident_kib(worker).context("no memory")?;
        field.submit("flood").await?;
        wait_until_begun(field, dir, "flood").await?;
        let guard = field.child_of("flood").await?.guard.pid();
        let (mut most, mut most_of_guard) = (before, 0);
        while !field.books.row("flood").await?.is_terminal() {
            most = most.max(resident_kib(worker).unwrap_or(0));
            most_of_guard = most_of_guard.max(resident_kib(guard).unwrap_or(0));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        ensure!(most < before + MOST_KIB, "the worker grew from {before} to {most} KiB");
        ensure!(most_of_guard < MOST_KIB, "the guard took {most_of_guard} KiB");
        let copy = copy(field, "flood").await?;
        ensure!(copy["success"] == false && copy["exitCode"] == 65, "{copy:.300}");
        let length = copy.to_string().len();
        ensure!(length < 64 << 10, "its record has {length} bytes");
        Ok(())
    })
    .await
}

/// Resident memory of a process, in KiB.
fn resident_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

#[tokio::test]
async fn a_doveadm_that_dies_by_a_signal_is_retried_and_the_record_names_the_signal() -> Result<()> {
    on_bad_doveadm(async |field, _| {
        let truth = field.submit("crash-once").await?;
        field.submit("crash").await?;
        field.expect_success(&[("crash-once".to_owned(), truth)].into()).await?;
        let copy_of_one = copy(field, "crash-once").await?;
        ensure!(copy_of_one["attempts"] == 2 && copy_of_one["success"] == true, "{copy_of_one}");

        field.wait_for_row("crash", "FAILURE").await?;
        let copy = copy(field, "crash").await?;
        let is_told = copy["signal"] == 11 && copy["outcome"] == "killed" && copy["attempts"] == 3;
        ensure!(is_told && copy["exitCode"].is_null(), "{copy}");
        ensure!(copy["errors"].to_string().contains("signal 11"), "{copy}");
        Ok(())
    })
    .await
}
