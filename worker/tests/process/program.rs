//! The file that guards are started from.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use dmf_worker::process::{Exit, GuardProgram, Unfit};

use crate::bench::{Bench, EXE, WORKER, sh, text};

/// A directory with a copy of the guard.
fn installed() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("dmf-guard");
    fs::copy(EXE, &path).unwrap();
    (dir, path)
}

/// Puts another file in the place of one, as an installation does.
fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::set_permissions(&next, Permissions::from_mode(0o755)).unwrap();
    fs::rename(next, path).unwrap();
}

/// The file that the guard of a child runs.
async fn guard_exe(bench: &Bench) -> String {
    bench.print("readlink /proc/$PPID/exe; cat /proc/$PPID/comm").await
}

#[tokio::test]
async fn it_stays_the_same_when_another_is_installed() {
    let (_dir, path) = installed();
    let bench = Bench::with(GuardProgram::open(&path).await.unwrap());
    assert_eq!(guard_exe(&bench).await, format!("{}\ndmf-guard\n", path.display()));
    replace(&path, "#!/bin/sh\nexit 9\n");
    assert_eq!(guard_exe(&bench).await, format!("{} (deleted)\ndmf-guard\n", path.display()));
    // The process that becomes the child comes from the same file.
    assert_eq!(text(&bench.run(sh("echo done")).await.unwrap()), "done\n");
}

#[tokio::test]
async fn one_of_other_sources_or_none_is_not_taken() {
    let (_dir, path) = installed();
    for (other, said) in [("/usr/bin/uname", "uname (GNU coreutils)"), ("/usr/bin/dash", "")] {
        fs::copy(other, &path).unwrap();
        match GuardProgram::open(&path).await.unwrap_err() {
            Unfit::OtherBuild { answer, .. } => {
                assert!(answer.starts_with(said) && answer.is_empty() == said.is_empty(), "{answer}");
            }
            unfit @ Unfit::Run { .. } => panic!("{unfit:?}"),
        }
    }
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(GuardProgram::open(&path).await.unwrap_err(), Unfit::Run { .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(GuardProgram::open(&path).await.unwrap_err(), Unfit::Run { .. }));
    // No guard lies beside these tests: what is found is the program itself.
    assert_eq!(GuardProgram::find().await.path(), Path::new("/proc/self/exe"));
}

#[tokio::test]
async fn the_worker_s_own_binary_does_the_same() {
    let bench = Bench::with(GuardProgram::at(Path::new(WORKER)));
    let finished = bench.run(sh("echo done; exit 3")).await.unwrap();
    assert_eq!((finished.exit, text(&finished)), (Exit::Code(3), "done\n".to_owned()));
    assert!(bench.records().is_empty());
}
