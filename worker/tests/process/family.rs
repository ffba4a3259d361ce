//! Descendants, and guards that die or freeze.

use std::time::Duration;

use dmf_worker::process::{Cause, Error, Exit};
use nix::sys::signal::Signal;

use crate::bench::{Bench, limits, lives, marker, send, sh, sleepers, until, until_sleeping};

/// A script with six sleepers: two in the group, four in sessions of their own, of which one's parent is gone.
fn tribe(marker: &str, end: &str) -> String {
    let sleep = format!("sleep {marker}");
    format!(
        "{sleep} & sh -c '{sleep}; :' & setsid {sleep} & setsid sh -c '{sleep} & {sleep}; :' & \
         (setsid {sleep} &) ; {end}"
    )
}

#[tokio::test]
async fn nobody_outlives_a_child_that_exits() {
    let bench = Bench::new();
    let marker = marker();
    let finished = bench.run(sh(&tribe(&marker, "sleep 0.3; exit 4"))).await.unwrap();
    assert_eq!((finished.exit, finished.cause), (Exit::Code(4), Cause::Natural));
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn nobody_outlives_a_lost_lease() {
    let bench = Bench::new();
    let marker = marker();
    let (lease, limits) = limits();
    let spec = sh(&tribe(&marker, "wait"));
    let (finished, ()) = tokio::join!(bench.run_within(spec, limits), async {
        until_sleeping(&marker, 6).await;
        lease.lose();
    });
    let finished = finished.unwrap();
    assert_eq!((finished.exit, finished.cause), (Exit::Signal { signal: 9, core: false }, Cause::LeaseLost));
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
}

#[tokio::test]
async fn nobody_outlives_the_future() {
    let bench = Bench::new();
    let marker = marker();
    tokio::select! {
        finished = bench.run(sh(&tribe(&marker, "wait"))) => panic!("ended: {finished:?}"),
        _ = until_sleeping(&marker, 6) => {}
    }
    until_sleeping(&marker, 0).await;
    until("no record", || bench.records().is_empty().then_some(())).await;
}

#[tokio::test]
async fn orphans_are_waited_for_while_the_child_runs() {
    let bench = Bench::new();
    let script = "(sleep 0 &); (sleep 0 &); sleep 0.3; \
                  for s in /proc/[0-9]*/stat; do read -r l < $s && echo \"$l\"; done 2>/dev/null; echo $PPID";
    let printed = bench.print(script).await;
    let (processes, guard) = printed.trim_end().rsplit_once('\n').unwrap();
    let zombies: Vec<_> = processes.lines().filter(|line| line.contains(&format!(" Z {guard} "))).collect();
    assert_eq!(zombies, Vec::<&str>::new());
}

#[tokio::test]
async fn the_child_dies_with_its_guard() {
    let bench = Bench::new();
    let marker = marker();
    let spec = sh(&format!("sleep {marker} & sleep {marker}; :"));
    let (result, child) = tokio::join!(bench.run(spec), async {
        until_sleeping(&marker, 2).await;
        let (guard, child) = bench.guard_and_child().await;
        send(guard, Signal::SIGKILL);
        child
    });
    assert!(matches!(result, Err(Error::GuardLost)), "{result:?}");
    assert!(!lives(child));
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn who_left_the_session_dies_with_the_guard_too() {
    let bench = Bench::new();
    let marker = marker();
    let spec = sh(&format!("setsid sleep {marker} & setsid -f sleep {marker}; sleep {marker}; :"));
    let (result, ()) = tokio::join!(bench.run(spec), async {
        until_sleeping(&marker, 3).await;
        let (guard, _) = bench.guard_and_child().await;
        send(guard, Signal::SIGKILL);
    });
    assert!(matches!(result, Err(Error::GuardLost)), "{result:?}");
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn a_frozen_guard_is_given_up() {
    let bench = Bench::new();
    let marker = marker();
    let (lease, limits) = limits();
    let spec = sh(&format!("sleep {marker}; :"));
    let (result, guard) = tokio::join!(bench.run_within(spec, limits), async {
        until_sleeping(&marker, 1).await;
        let (guard, _) = bench.guard_and_child().await;
        send(guard, Signal::SIGSTOP);
        lease.lose();
        guard
    });
    assert!(matches!(result, Err(Error::GuardLost)), "{result:?}");
    assert!(!lives(guard));
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn the_guard_does_not_heed_polite_signals() {
    let bench = Bench::new();
    let marker = marker();
    let (_lease, mut limits) = limits();
    limits.grace = Duration::from_mins(1);
    let cancel = limits.cancel.clone();
    let spec = sh(&format!("sleep {marker}"));
    let (finished, ()) = tokio::join!(bench.run_within(spec, limits), async {
        until_sleeping(&marker, 1).await;
        let (guard, _) = bench.guard_and_child().await;
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            send(guard, signal);
        }
        cancel.cancel();
    });
    let finished = finished.unwrap();
    assert_eq!((finished.exit, finished.cause), (Exit::Signal { signal: 15, core: false }, Cause::Cancelled));
}
