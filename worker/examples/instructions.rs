//! Runs one piece of work so often, for a tool that counts instructions: `instructions read-mail-log 1`.

#[path = "../benches/workload.rs"]
mod workload;

use std::{hint::black_box, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (work, times) = (arguments.next(), arguments.next().and_then(|times| times.parse::<u32>().ok()));
    let (Some(work), Some(times)) = (work, times) else { return ExitCode::FAILURE };
    let (log, filling) = (workload::log_of(500), workload::Filling::new());
    for _ in 0..times {
        match &work[..] {
            "read-mail-log" => drop(black_box(workload::read(black_box(&log)))),
            "fill-template" => drop(black_box(black_box(&filling).fill())),
            "judge-refusal" => drop(black_box(workload::judge_refusal())),
            _ => return ExitCode::FAILURE,
        }
    }
    ExitCode::SUCCESS
}
