//! What a call of each Lua script costs a Redis of its own, before backlogs of 1,000 and of 100,000 jobs:
//! `cargo bench -p dmf-shared --bench scripts`. `loadtest/run micro` reports the same.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

mod measure;

use std::time::Duration;

use dmf_lab::Lab;

const BACKLOGS: [u32; 2] = [1_000, 100_000];
const ROUNDS: usize = 21;

/// Median, least and most, in microseconds.
fn spread(times: &[Duration]) -> String {
    let mut micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    micros.sort_by(f64::total_cmp);
    match (micros.first(), micros.get(micros.len() / 2), micros.last()) {
        (Some(least), Some(median), Some(most)) => format!("{median:.1} ({least:.1}–{most:.1})"),
        _ => "-".to_owned(),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let lab = Lab::builder().redis().start().await?;
    println!("µs of a call: the median of {ROUNDS} rounds, with the spread");
    for backlog in BACKLOGS {
        for ((call, size), figure) in measure::measure(&lab.redis().url(), backlog, ROUNDS).await? {
            let (server, trip) = (spread(&figure.server), spread(&figure.round_trip));
            println!(
                "{backlog:>6} wait, {size:>2} a call: {:<38} Redis {server}, round trip {trip}",
                call.name()
            );
        }
    }
    Ok(())
}
