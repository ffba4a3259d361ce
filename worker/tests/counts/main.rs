//! How many instructions the worker takes for what it does most often, against what was recorded.
//!
//! Times say nothing on a machine that does other things besides; instructions are nearly the same at every run. They
//! are counted by valgrind in the build that the tests have: not what a release takes, but what grows with it, and
//! nothing has to be built for it. Each work is done few times and many times, and the difference counts, so that
//! the start of the program and the making of the input don't.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test runs itself in valgrind")]

mod callgrind;
mod record;
#[path = "../../benches/words/workload.rs"]
#[allow(dead_code, reason = "the benches measure more than what is counted")]
mod workload;

use std::hint::black_box;

use callgrind::Run;
use record::Record;
use workload::{Dovecot, Filling};

/// How far from the record a count may be, in per cent.
const TOLERANCE: u64 = 15;
/// How often the work is done in the shorter and in the longer run.
const PASSES: [u64; 2] = [1, 6];
/// Lines and commands of one pass: the more, the less a single allocation matters.
const LINES: usize = 400;
const COMMANDS: usize = 40;
/// Error lines take many times as much.
const ERROR_LINES: usize = 40;

/// Tells the counted program what to do: a name of [`WORKS`] and how often.
const WORK: &str = "DMF_COUNTED_WORK";
/// Where it is set, the counts are recorded.
const RECORDS: &str = "DMF_RECORD_COUNTS";
/// How they are recorded anew.
const COMMAND: &str = "DMF_RECORD_COUNTS=yes cargo nextest run -p dmf-worker instructions_are";

const WORKS: [&str; 4] = ["fill_template", "read_mail_log_of_2.3", "read_mail_log_of_2.4", "read_errors"];

/// What `name` stands for, with its input made.
fn work(name: &str) -> Box<dyn Fn() -> usize> {
    let reading = |log: Vec<u8>| Box::new(move || workload::read(black_box(&log)));
    match name {
        "fill_template" => {
            let filling = Filling::new();
            Box::new(move || (0..COMMANDS).map(|_| black_box(&filling).fill()).sum())
        }
        "read_mail_log_of_2.3" => reading(workload::log_of(Dovecot::V23, LINES)),
        "read_mail_log_of_2.4" => reading(workload::log_of(Dovecot::V24, LINES)),
        "read_errors" => reading(workload::errors_of(ERROR_LINES)),
        _ => panic!("no such work: {name}"),
    }
}

#[test]
#[ignore = "valgrind runs it for instructions_are_as_recorded"]
fn counted_work() {
    let Ok(order) = std::env::var(WORK) else { return };
    let (name, passes) = order.split_once(' ').unwrap();
    let work = work(name);
    for _ in 0..passes.parse().unwrap() {
        assert!(black_box(work()) > 0, "{name} did nothing");
    }
}

/// Instructions of one pass.
fn count(name: &str) -> u64 {
    // Both at a time: neither minds what else runs.
    let runs = PASSES.map(|passes| Run::start("counted_work", WORK, &format!("{name} {passes}")));
    let [few, many] = runs.map(Run::instructions);
    let counted = many.checked_sub(few).expect("more passes take more instructions");
    counted / (PASSES[1] - PASSES[0])
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the record is of x86-64")]
fn instructions_are_as_recorded() {
    let counts = WORKS.map(|name| (name, count(name)));
    if std::env::var_os(RECORDS).is_some() {
        return Record::write(&counts);
    }
    let record = Record::read();
    let faults: Vec<_> = counts.iter().filter_map(|(name, count)| record.fault(name, *count)).collect();
    assert!(
        faults.is_empty(),
        "instructions of one pass are not as recorded ({}):\n  {}\nWhere this is meant to be so, or the compiler is \
         another one, record them anew: {COMMAND}",
        record.compiler(),
        faults.join("\n  "),
    );
}
