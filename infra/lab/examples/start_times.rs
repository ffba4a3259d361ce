//! Prints how long each part of a lab takes to start and to go, as medians of several runs.

#![allow(clippy::print_stdout, reason = "this program talks to a person at a terminal")]

use std::time::{Duration, Instant};

use dmf_lab::{Builder, Lab, Result, Storage};

const RUNS: usize = 9;

#[tokio::main]
async fn main() -> Result<()> {
    let parts = [
        ("MariaDB", Lab::builder().mariadb()),
        ("Redis", Lab::builder().redis()),
        ("source", Lab::builder().source("old")),
        ("target", Lab::builder().target(Storage::Mdbox)),
        ("all four", Lab::builder().mariadb().redis().source("old").target(Storage::Mdbox)),
    ];
    for (name, part) in parts {
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            times.push(start_and_go(part.clone()).await?);
        }
        let (start, go) = times.into_iter().unzip();
        println!("{name:10} start {:4} ms   go {:3} ms", median(start).as_millis(), median(go).as_millis());
    }
    Ok(())
}

async fn start_and_go(part: Builder) -> Result<(Duration, Duration)> {
    let begin = Instant::now();
    let lab = part.start().await?;
    let started = Instant::now();
    drop(lab);
    Ok((started - begin, started.elapsed()))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
