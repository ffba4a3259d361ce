//! Children that cannot be started.

use std::{error::Error as _, fs, io, path::Path};

use dmf_worker::process::{Error, GuardProgram, LaunchStep, Spec};
use nix::errno::Errno::{self, EACCES, EINVAL, ENOENT};

use crate::bench::{Bench, sh};

async fn failure(spec: Spec) -> (LaunchStep, i32) {
    let bench = Bench::new();
    let result = bench.run(spec).await;
    assert!(bench.records().is_empty());
    match result {
        Err(Error::Start { step, source, .. }) => (step, source.raw_os_error().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no-program");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    let errno = |errno: Errno| errno as i32;
    assert_eq!(failure(Spec::new("t", dir.path().join("absent"))).await, (LaunchStep::Exec, errno(ENOENT)));
    assert_eq!(failure(Spec::new("t", "absent-from-path")).await, (LaunchStep::Exec, errno(ENOENT)));
    assert_eq!(failure(Spec::new("t", file)).await, (LaunchStep::Exec, errno(EACCES)));
    assert_eq!(failure(sh("a\0b")).await, (LaunchStep::Exec, errno(EINVAL)));
    let mut spec = sh("exit 0");
    spec.cwd = dir.path().join("absent");
    assert_eq!(failure(spec).await, (LaunchStep::Directory, errno(ENOENT)));
}

#[tokio::test]
async fn a_program_is_looked_for_in_the_given_path() {
    let mut spec = Spec::new("t", "true");
    spec.env = sh("").env;
    assert_eq!(Bench::new().run(spec).await.unwrap().exit, dmf_worker::process::Exit::Code(0));
}

#[tokio::test]
async fn an_unusable_record_directory_stops_the_start() {
    let bench = Bench::new();
    fs::remove_dir(bench.dir.path().join("children")).unwrap();
    let result = bench.run(sh("exit 0")).await;
    assert!(matches!(result, Err(Error::Start { step: LaunchStep::Record, .. })), "{result:?}");
}

#[tokio::test]
async fn a_missing_binary_is_told_apart_from_a_missing_program() {
    let bench = Bench::with(GuardProgram::at(Path::new("/absent/dmf-guard")));
    let error = bench.run(sh("exit 0")).await.unwrap_err();
    assert_eq!(error.to_string(), "the guard cannot be started from /absent/dmf-guard");
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_binary_without_a_guard_is_a_lost_guard() {
    let bench = Bench::with(GuardProgram::at(Path::new("/bin/false")));
    let result = bench.run(sh("exit 0")).await;
    assert!(matches!(result, Err(Error::GuardLost)), "{result:?}");
}
