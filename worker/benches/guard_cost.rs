//! What a guard costs: the CPU time of `/bin/true` run directly, under a guard, and under one made from the worker's
//! own binary, in alternating rounds. Counts everything: the guard, the process that becomes the child, the child, and
//! the supervisor in this process.

#![allow(clippy::disallowed_methods, reason = "the peer to measure against is a plain child process")]
#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use dmf_worker::process::{Deadline, Exit, GuardProgram, LeaseClock, Limits, Spec, Supervisor};
use nix::sys::resource::{UsageWho, getrusage};
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 7;
const CHILDREN: u32 = 100;

/// What one child took.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    elapsed: Duration,
}

/// CPU time so far, of this process and of all children that have ended.
fn cpu() -> anyhow::Result<Duration> {
    let mut micros = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            micros += time.tv_sec() * 1_000_000 + time.tv_usec();
        }
    }
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

async fn measure(run: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let (cpu_before, begun) = (cpu()?, Instant::now());
    for _ in 0..CHILDREN {
        run().await?;
    }
    Ok(Cost { cpu: cpu()?.saturating_sub(cpu_before) / CHILDREN, elapsed: begun.elapsed() / CHILDREN })
}

async fn run_directly() -> anyhow::Result<()> {
    let output = tokio::process::Command::new("/bin/true").env_clear().output().await?;
    ensure!(output.status.success(), "{}", output.status);
    Ok(())
}

async fn run_guarded(supervisor: &Supervisor, lease: &LeaseClock) -> anyhow::Result<()> {
    let limits = Limits::new(lease.clone(), Duration::from_mins(1), CancellationToken::new());
    let finished = supervisor.run(Spec::new("bench", "/bin/true"), limits, &mut |_| {}).await?;
    ensure!(finished.exit == Exit::Code(0), "{:?}", finished.exit);
    Ok(())
}

/// Median, least and most of the rounds.
fn print(name: &str, rounds: &[Cost]) -> anyhow::Result<()> {
    let spread = |part: fn(&Cost) -> Duration| {
        let mut parts: Vec<Duration> = rounds.iter().map(part).collect();
        parts.sort_unstable();
        let (least, most) = (parts.first()?, parts.last()?);
        Some(format!("{:>9.3?} ({least:.3?} to {most:.3?})", parts.get(parts.len() / 2)?))
    };
    let (cpu, elapsed) = (spread(|cost| cost.cpu), spread(|cost| cost.elapsed));
    println!("{name:>17}: cpu {}, elapsed {}", cpu.context("no rounds")?, elapsed.context("no rounds")?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let guarding = |exe: &str| Supervisor::new(GuardProgram::at(Path::new(exe)), state.path());
    let small = guarding(env!("CARGO_BIN_EXE_dmf-guard"))?;
    let own = guarding(env!("CARGO_BIN_EXE_dmf-worker"))?;
    let (_handle, lease) = LeaseClock::channel(Deadline::after(Duration::from_hours(1)));
    let (mut direct, mut guarded, mut by_worker) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.push(measure(run_directly).await?);
        guarded.push(measure(async || run_guarded(&small, &lease).await).await?);
        by_worker.push(measure(async || run_guarded(&own, &lease).await).await?);
    }
    println!("/bin/true, a child's share of {CHILDREN}; median of {ROUNDS} rounds (least to most)");
    print("directly", &direct)?;
    print("dmf-guard", &guarded)?;
    print("dmf-worker guard", &by_worker)
}
