//! How children end, and what they leave.

use std::{fs, time::Duration};

use dmf_worker::process::{Cause, Exit, Finished};

use crate::bench::{Bench, limits, sh, text, until};

async fn ending(script: &str) -> Exit {
    let finished = Bench::new().run(sh(script)).await.unwrap();
    assert_eq!(finished.cause, Cause::Natural);
    finished.exit
}

#[tokio::test]
async fn codes_and_signals_are_told_apart() {
    assert_eq!(ending("exit 0").await, Exit::Code(0));
    assert_eq!(ending("exit 75").await, Exit::Code(75));
    assert_eq!(ending("exit 134").await, Exit::Code(134));
    assert_eq!(ending("kill -ABRT $$").await, Exit::Signal { signal: 6, core: false });
    assert_eq!(ending("kill -KILL $$").await, Exit::Signal { signal: 9, core: false });
    // A real-time signal, for which nix has no name.
    assert_eq!(ending("kill -40 $$").await, Exit::Signal { signal: 40, core: false });
}

#[tokio::test]
async fn both_streams_are_read() {
    let bench = Bench::new();
    let mut seen = Vec::new();
    let (_lease, limits) = limits();
    let script = sh("echo out; echo err >&2; exit 3");
    let finished =
        bench.supervisor.run(script, limits, &mut |chunk| seen.extend_from_slice(chunk)).await.unwrap();
    assert_eq!(text(&finished), "out\n");
    assert!(!finished.stdout_truncated);
    assert_eq!(seen, b"err\n");
    assert_eq!(finished.stderr_tail, b"err\n");
    assert_eq!(finished.exit, Exit::Code(3));
    assert!(bench.records().is_empty());
}

/// Resident memory of a process, in KiB.
fn resident_kib(pid: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

#[tokio::test]
async fn a_flood_on_both_streams_costs_no_memory() {
    const FLOOD: u64 = 2 << 30;
    let bench = Bench::new();
    let (_lease, limits) = limits();
    let mut spec =
        sh(&format!("head -c {FLOOD} /dev/zero & head -c {FLOOD} /dev/zero >&2; wait; echo end >&2"));
    spec.stdout_limit = 1000;
    spec.stderr_tail = 500;
    let before = resident_kib("self").unwrap();
    let (mut flooded, mut most) = (0_u64, before);
    let mut on_stderr = |chunk: &[u8]| {
        flooded += chunk.len() as u64;
        most = most.max(resident_kib("self").unwrap());
    };
    let (finished, guard) = tokio::join!(bench.supervisor.run(spec, limits, &mut on_stderr), async {
        let (guard, _) = bench.guard_and_child().await;
        resident_kib(&guard.to_string()).unwrap()
    });
    let finished = finished.unwrap();
    assert_eq!(flooded, FLOOD + 4);
    assert_eq!((finished.stdout.len(), finished.stdout_truncated), (1000, true));
    assert_eq!(finished.stderr_tail.len(), 500);
    assert!(finished.stderr_tail.ends_with(b"\0end\n"));
    assert!(most - before < 64 << 10, "grew from {before} to {most} KiB");
    assert!(guard < 64 << 10, "the guard takes {guard} KiB");
}

/// Runs a script and ends it, by `cancel` or the step's timeout, once it has said that it is ready.
async fn stop(script: &str, grace: Duration) -> Finished {
    let bench = Bench::new();
    let (_lease, mut limits) = limits();
    limits.grace = grace;
    let cancel = limits.cancel.clone();
    bench.supervisor.run(sh(script), limits, &mut |_| cancel.cancel()).await.unwrap()
}

#[tokio::test]
async fn a_cancelled_child_may_end_by_itself() {
    let finished =
        stop("trap 'echo bye; exit 5' TERM; echo ready >&2; while :; do sleep 0.02; done", Duration::MAX);
    let finished = finished.await;
    assert_eq!((finished.exit, finished.cause), (Exit::Code(5), Cause::Cancelled));
    assert_eq!(text(&finished), "bye\n");
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo ready >&2; while :; do sleep 0.02; done";
    let finished = stop(script, Duration::from_millis(300)).await;
    assert_eq!(finished.exit, Exit::Signal { signal: 9, core: false });
    assert_eq!(finished.cause, Cause::Cancelled);
    assert!(finished.duration >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_child_over_its_time_is_ended() {
    let (_lease, mut limits) = limits();
    limits.timeout = Duration::from_millis(300);
    let finished = Bench::new().run_within(sh("sleep 600"), limits).await.unwrap();
    assert_eq!(finished.exit, Exit::Signal { signal: 15, core: false });
    assert_eq!(finished.cause, Cause::TimedOut);
}

#[tokio::test]
async fn a_stopped_child_is_ended_too() {
    let bench = Bench::new();
    let (_lease, mut limits) = limits();
    limits.grace = Duration::from_millis(100);
    let cancel = limits.cancel.clone();
    let (finished, ()) = tokio::join!(bench.run_within(sh("kill -STOP $$"), limits), async {
        let (_, child) = bench.guard_and_child().await;
        until("a stopped child", || (crate::bench::state(child)? == 'T').then_some(())).await;
        cancel.cancel();
    });
    assert_eq!(finished.unwrap().exit, Exit::Signal { signal: 9, core: false });
}
