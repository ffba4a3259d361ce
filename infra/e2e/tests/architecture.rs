//! The arrows of the architecture: who may name whom. Reads the product's sources and fails on a path that points
//! the wrong way.

#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/rules.rs"]
mod rules;

use std::path::{Path, PathBuf};
use std::{fs, io};

use rules::forbidden;

const PRODUCT: [&str; 3] = ["shared", "scheduler", "worker"];

/// All Rust files below a directory.
fn sources(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.append(&mut sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let (mut files, mut faults) = (0, Vec::new());
    for part in PRODUCT {
        for path in sources(&root.join(part).join("src")).unwrap() {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            faults.extend(forbidden(&name, &fs::read_to_string(&path).unwrap()));
            files += 1;
        }
    }
    assert!(files > 50, "only {files} files were found");
    assert!(faults.is_empty(), "forbidden arrows:\n{}", faults.join("\n"));
}

#[test]
fn crates_do_not_depend_on_each_other_the_wrong_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (part, wrong) in [
        ("shared", &["dmf-scheduler", "dmf-worker", "dmf-e2e"][..]),
        ("scheduler", &["dmf-worker", "dmf-e2e"]),
        ("worker", &["dmf-scheduler", "dmf-e2e"]),
    ] {
        let manifest = fs::read_to_string(root.join(part).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split_once("[dependencies]").unwrap().1;
        for name in wrong {
            assert!(!dependencies.contains(name), "{part} depends on {name}");
        }
    }
}

/// A test that can't fail proves nothing: each rule with a line that breaks it and one that does not.
#[test]
fn each_rule_is_seen_to_be_broken() {
    let cases = [
        ("shared/src/domain/ids.rs", "use crate::store::Store;", true),
        ("shared/src/domain/ids.rs", "use super::super::config;", true),
        ("shared/src/domain/ids.rs", "use super::phase::Phase;", false),
        ("shared/src/config/mod.rs", "use crate::domain::clock::Clock;", false),
        ("shared/src/config/mod.rs", "use crate::ops::health;", true),
        ("shared/src/crypto/mod.rs", "use crate::{config::Reader, domain::ids};", false),
        ("shared/src/crypto/mod.rs", "use crate::{config::Reader, queue::{self, Queue}};", true),
        ("shared/src/store/claim.rs", "use crate::{\n    domain::ids,\n    queue,\n};", true),
        ("shared/src/store/claim.rs", "fn f() { crate::queue::push() }", true),
        ("shared/src/store/claim.rs", "use crate::crypto::Sealed;", false),
        ("shared/src/queue/backend.rs", "use crate::store::Store as S;", true),
        ("shared/src/queue/backend.rs", "// use crate::store::Store;", false),
        ("shared/src/queue/backend.rs", r#"const T: &str = "crate::store::Store";"#, false),
        ("shared/src/ops/health.rs", "use crate::config::Reader;", false),
        ("shared/src/ops/health.rs", "use crate::store;", true),
        ("scheduler/src/relay.rs", "use dmf_worker::held::Held;", true),
        ("worker/src/runtime.rs", "use dmf_scheduler::app;", true),
        ("shared/src/lib.rs", "pub use dmf_worker as worker;", true),
        ("shared/src/store/users.rs", "use sqlx::Row;", false),
        ("shared/src/queue/mod.rs", "use sqlx::Row;", true),
        ("scheduler/src/app.rs", "fn f() { ::sqlx::query(1) }", true),
        ("shared/src/queue/scripts.rs", "use redis::Script;", false),
        ("worker/src/held.rs", "use redis::{Client, cmd};", true),
        ("worker/src/runtime.rs", "use apalis::prelude::*;", false),
        ("worker/src/held.rs", "use apalis_core::task::Task;", true),
        ("scheduler/src/relay.rs", "use apalis_core::backend::TaskSink;", false),
        ("scheduler/src/app.rs", "use apalis_core::backend::TaskSink;", true),
        ("worker/src/process/guard/launch.rs", "fn f() { Command::new(1); }", false),
        ("worker/src/doveadm/version.rs", "fn f() { Command::new(1); }", true),
        ("worker/src/doveadm/version.rs", "fn f() { tokio::process::Command::new(1); }", true),
        ("worker/src/doveadm/version.rs", "fn f() { domain::command::Command::named(1); }", false),
        ("worker/src/doveadm/version.rs", "use std::process::Command;", true),
        ("worker/src/main.rs", "use std::process::ExitCode;", false),
    ];
    for (file, line, is_fault) in cases {
        let faults = forbidden(file, line);
        assert_eq!(!faults.is_empty(), is_fault, "{file}: {line}: {faults:?}");
    }
}
