//! The build script of scheduler and worker: which revision of the sources they are, for `/info`.
//!
//! `DMF_REVISION` in the environment says it. Without it a release build asks git; other builds would be built anew
//! at each commit, and sources that lie in no repository have no revision.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a build script talks to cargo that way")]

use std::{env, path::Path, process::Command};

const VARIABLE: &str = "DMF_REVISION";

fn main() {
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    println!("cargo:rerun-if-changed=../infra/revision.rs");
    // A repository further up may be somebody else's.
    let is_repository = Path::new("../.git").exists();
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if env::var_os(VARIABLE).is_some() || !is_repository || !is_release {
        return;
    }
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    if let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env={VARIABLE}={revision}");
    }
}

/// What git answers; nothing where there is no git.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !answer.is_empty()).then_some(answer)
}
