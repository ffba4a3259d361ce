//! Clearing up after a worker process that died.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use dmf_worker::process::{Leftovers, kill_leftovers};
use nix::{sys::signal::Signal, unistd::getsid};
use serde_json::json;

use crate::{
    bench::{Bench, PATIENCE, lives, marker, recorded, records, send, sleepers, until, until_sleeping},
    worker::WorkerProcess,
};

/// A process that leads its group; killed when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").process_group(0).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_time(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap()
}

/// Writes a record of a child whose guard is long gone.
fn write_record(state: &Path, boot_id: &str, child: (i32, u64)) {
    let record = json!({
        "boot_id": boot_id,
        "name": "journal 7 dsync",
        "session": getsid(None).unwrap().as_raw(),
        "guard": {"pid": child.0, "start_time": child.1 + 1000},
        "child": {"pid": child.0, "start_time": child.1},
    });
    fs::write(state.join("children/1"), record.to_string()).unwrap();
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_recorded_child_is_killed() {
    let bench = Bench::new();
    let mut child = Sleeper::start();
    write_record(bench.dir.path(), &boot_id(), (child.pid(), start_time(child.pid())));
    let leftovers = kill_leftovers(bench.dir.path(), PATIENCE).await.unwrap();
    assert_eq!(leftovers, Leftovers { found: 1, remaining: vec![] });
    assert!(child.has_ended());
    assert!(bench.records().is_empty());
}

#[tokio::test]
async fn an_id_that_was_used_again_is_left_alone() {
    let bench = Bench::new();
    let mut other = Sleeper::start();
    for (boot_id, start_time, found) in [
        (boot_id(), start_time(other.pid()) - 1, 1),
        (boot_id(), start_time(other.pid()) + 1, 1),
        ("another boot".to_owned(), start_time(other.pid()), 0),
    ] {
        write_record(bench.dir.path(), &boot_id, (other.pid(), start_time));
        let leftovers = kill_leftovers(bench.dir.path(), PATIENCE).await.unwrap();
        assert_eq!(leftovers, Leftovers { found, remaining: vec![] });
        assert!(!other.has_ended());
        assert!(bench.records().is_empty());
    }
}

#[tokio::test]
async fn rubbish_and_nothing_are_no_leftovers() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("children/1"), "{\"boot").unwrap();
    let nothing = Leftovers { found: 0, remaining: vec![] };
    assert_eq!(kill_leftovers(bench.dir.path(), PATIENCE).await.unwrap(), nothing);
    assert!(bench.records().is_empty());
    assert_eq!(kill_leftovers(&bench.dir.path().join("absent"), PATIENCE).await.unwrap(), nothing);
}

#[tokio::test]
async fn a_frozen_guard_and_its_child_are_killed() {
    let marker = marker();
    let mut worker = WorkerProcess::start(&format!("sleep {marker} & sleep {marker}; :"));
    until_sleeping(&marker, 2).await;
    let (guard, child) = until("a record", || recorded(worker.state())).await;
    send(guard, Signal::SIGSTOP);
    worker.kill();
    // The kernel continues a stopped group whose last tie to its session dies, so the guard may have woken up and
    // be faster.
    let leftovers = kill_leftovers(worker.state(), Duration::from_secs(4)).await.unwrap();
    assert_eq!(leftovers.remaining, vec![]);
    assert!(!lives(child));
    // Where it was faster, it removes the record as its last act but one.
    until("the end of the guard", || (!lives(guard)).then_some(())).await;
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
    assert!(records(worker.state()).is_empty());
}

#[tokio::test]
async fn a_group_without_its_leader_is_killed() {
    let marker = marker();
    let mut worker = WorkerProcess::start(&format!("sleep {marker} & sleep {marker}; :"));
    until_sleeping(&marker, 2).await;
    let (guard, child) = until("a record", || recorded(worker.state())).await;
    // Both at once, so that nobody is left to sweep; the child dies with its guard.
    send(worker.pid(), Signal::SIGSTOP);
    send(guard, Signal::SIGKILL);
    worker.kill();
    until("the end of the child", || (!lives(child)).then_some(())).await;
    assert_eq!(sleepers(&marker).len(), 2);
    let leftovers = kill_leftovers(worker.state(), PATIENCE).await.unwrap();
    assert_eq!(leftovers, Leftovers { found: 1, remaining: vec![] });
    assert_eq!(sleepers(&marker), Vec::<i32>::new());
}
