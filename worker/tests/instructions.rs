//! What must not become slower, counted in instructions, which no busy machine changes: each piece of work is run
//! under valgrind and compared with the figure that is recorded here.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics where it stands")]
#![allow(clippy::disallowed_methods, reason = "valgrind runs the example that does the work")]
#![allow(clippy::print_stdout, reason = "a figure that is not compared is told")]

use std::{path::PathBuf, process::Command};

/// The compiler that the figures are of; another one makes other code.
const COMPILER: &str = "rustc 1.95.0";
/// How far a figure may be off, either way: a gain is recorded, too.
const TOLERANCE_PERCENT: u64 = 15;
/// Instructions of one round, without optimisation as the tests are built.
const RECORDED: [(&str, u64); 3] = [("read-mail-log", 0), ("fill-template", 0), ("judge-refusal", 0)];

fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().with_file_name("examples").join("instructions")
}

/// Instructions of so many rounds, the start of the program included.
fn count(work: &str, rounds: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(example())
        .args([work, &rounds.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("valgrind (see infra/install-packages): {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected :")).expect("no count");
    collected.1.trim().parse().unwrap()
}

#[test]
fn what_must_not_become_slower_has_not() {
    let version = Command::new("rustc").arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let is_compared = version.starts_with(COMPILER);
    if !is_compared {
        println!("the figures are of {COMPILER}, so they are not compared with those of {version}");
    }
    let mut off = Vec::new();
    for (work, recorded) in RECORDED {
        let counted = (count(work, 21) - count(work, 1)) / 20;
        println!("{work}: {counted} instructions, {recorded} recorded");
        if counted.abs_diff(recorded) * 100 > recorded * TOLERANCE_PERCENT {
            off.push(format!("{work}: {counted} instructions instead of {recorded}"));
        }
    }
    assert!(!is_compared || off.is_empty(), "more or fewer than recorded: {off:#?}");
}
