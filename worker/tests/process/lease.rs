//! Deadlines: kept by the guard whatever happens to the worker.

use std::time::Duration;

use dmf_worker::process::{Cause, Deadline, Error, Exit, LeaseClock, Limits};
use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{Bench, lives, marker, recorded, records, send, sh, until, until_sleeping},
    worker::WorkerProcess,
};

fn limits_for(lease: LeaseClock) -> Limits {
    Limits::new(lease, Duration::from_mins(10), CancellationToken::new())
}

#[tokio::test]
async fn without_a_heartbeat_the_child_is_killed() {
    let bench = Bench::new();
    let (_handle, lease) = LeaseClock::channel(Deadline::after(Duration::from_secs(1)));
    let spec = sh("trap '' TERM; while :; do sleep 0.02; done");
    let finished = bench.run_within(spec, limits_for(lease)).await.unwrap();
    assert_eq!(finished.exit, Exit::Signal { signal: 9, core: false });
    assert_eq!(finished.cause, Cause::LeaseLost);
}

#[tokio::test]
async fn heartbeats_keep_the_child() {
    let bench = Bench::new();
    let (handle, lease) = LeaseClock::channel(Deadline::after(Duration::from_secs(3)));
    let beat = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            handle.extend(Deadline::after(Duration::from_secs(3)));
        }
    };
    let finished = tokio::select! {
        finished = bench.run_within(sh("sleep 4; exit 6"), limits_for(lease)) => finished.unwrap(),
        () = beat => unreachable!(),
    };
    assert_eq!((finished.exit, finished.cause), (Exit::Code(6), Cause::Natural));
}

#[tokio::test]
async fn nothing_is_started_under_a_lost_lease_or_a_cancel() {
    let bench = Bench::new();
    let (_handle, lease) = LeaseClock::channel(Deadline::after(Duration::ZERO));
    let result = bench.run_within(sh("exit 0"), limits_for(lease)).await;
    assert!(matches!(result, Err(Error::NotStarted { cause: Cause::LeaseLost })), "{result:?}");

    let (_handle, lease) = LeaseClock::channel(Deadline::after(Duration::from_mins(1)));
    let limits = limits_for(lease);
    limits.cancel.cancel();
    let result = bench.run_within(sh("exit 0"), limits).await;
    assert!(matches!(result, Err(Error::NotStarted { cause: Cause::Cancelled })), "{result:?}");
}

#[tokio::test]
async fn a_killed_worker_takes_guard_and_child_along() {
    let marker = marker();
    let worker = WorkerProcess::start(&format!("sleep {marker} & setsid sleep {marker} & wait"));
    until_sleeping(&marker, 2).await;
    let (guard, child) = until("a record", || recorded(worker.state())).await;
    send(worker.pid(), Signal::SIGKILL);
    until_sleeping(&marker, 0).await;
    until("the end of guard and child", || (!lives(guard) && !lives(child)).then_some(())).await;
    assert!(records(worker.state()).is_empty());
}

#[tokio::test]
async fn a_frozen_worker_cannot_keep_its_child() {
    let marker = marker();
    let worker = WorkerProcess::start(&format!("sleep {marker} & setsid sleep {marker} & wait"));
    until_sleeping(&marker, 2).await;
    let (guard, _) = until("a record", || recorded(worker.state())).await;
    send(worker.pid(), Signal::SIGSTOP);
    until_sleeping(&marker, 0).await;
    until("the end of the guard", || (!lives(guard)).then_some(())).await;
    assert!(records(worker.state()).is_empty());
    // On waking it learns that it was too late.
    send(worker.pid(), Signal::SIGCONT);
    assert_eq!(worker.result(), "LeaseLost");
}

#[tokio::test]
async fn a_frozen_worker_with_a_full_pipe_cannot_keep_its_child() {
    let marker = marker();
    let worker = WorkerProcess::start(&format!("sleep {marker} & cat /dev/zero"));
    until_sleeping(&marker, 1).await;
    send(worker.pid(), Signal::SIGSTOP);
    until_sleeping(&marker, 0).await;
}
