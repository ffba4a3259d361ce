//! The guard and the process that becomes the child, spoken to directly: what they do with what a worker that
//! slept would send them.

use std::{
    fs,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use dmf_worker::process::clock::boottime;
use serde_json::{Value, json};

use crate::bench::{EXE, PATIENCE, WORKER, until};

/// One of the two internal commands and the other end of its socket.
struct Peer {
    process: Child,
    socket: UnixStream,
}

impl Peer {
    fn start(command: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let process = Command::new(EXE).arg(command).stdin(OwnedFd::from(theirs)).spawn().unwrap();
        Self { process, socket: ours }
    }

    fn send(&mut self, message: &Value) {
        let message = message.to_string().into_bytes();
        let length = u32::try_from(message.len()).unwrap();
        self.socket.write_all(&length.to_be_bytes()).unwrap();
        self.socket.write_all(&0_u32.to_be_bytes()).unwrap();
        self.socket.write_all(&message).unwrap();
    }

    /// All that comes until the other end closes: the last message, if any.
    fn last_message(&mut self) -> Option<Value> {
        let mut bytes = Vec::new();
        self.socket.read_to_end(&mut bytes).unwrap();
        let mut last = None;
        let mut rest = bytes.as_slice();
        while let Some((header, tail)) = rest.split_first_chunk::<8>() {
            let length = usize::try_from(u32::from_be_bytes(*header.first_chunk().unwrap())).unwrap();
            last = Some(serde_json::from_slice(&tail[..length]).unwrap());
            rest = &tail[length..];
        }
        last
    }

    async fn exit(&mut self) -> ExitStatus {
        until("the end of the process", || self.process.try_wait().unwrap()).await
    }
}

fn child(file: &Path) -> Value {
    json!({
        "program": "/bin/sh",
        "args": ["-c", format!("echo > {}", file.display())],
        "env": [], "cwd": "/", "run_as": null, "has_input": false,
    })
}

fn deadline(secs: u64) -> Value {
    json!({"secs": secs, "nanos": 0})
}

fn later() -> Value {
    deadline(boottime().as_secs() + 600)
}

#[tokio::test]
async fn the_guard_starts_nothing_after_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ran");
    for (deadline, ran) in [(deadline(1), false), (later(), true)] {
        let mut guard = Peer::start("guard");
        guard.send(&json!({"Start": {
            "deadline": deadline, "records": dir.path(), "boot_id": "b", "name": "n", "child": child(&file),
        }}));
        let expected = if ran {
            json!({"Ended": {"exit": {"Code": 0}, "expired": false}})
        } else {
            json!({"NotLaunched": "Expired"})
        };
        assert_eq!(guard.last_message(), Some(expected));
        assert!(guard.exit().await.success());
        assert_eq!(file.exists(), ran);
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_child_to_be_runs_nothing_after_the_deadline_or_without_its_guard() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ran");
    let this = std::process::id();
    for (guard, deadline, answer) in
        [(this, deadline(1), Some(json!("Expired"))), (this + 1, later(), None), (this, later(), None)]
    {
        assert!(!file.exists());
        let mut process = Peer::start("exec-child");
        process.send(&json!({"guard": guard, "deadline": deadline, "child": child(&file)}));
        assert_eq!(process.last_message(), answer);
        process.exit().await;
    }
    assert!(file.exists());
}

#[tokio::test]
async fn a_worker_that_leaves_or_babbles_ends_the_guard() {
    let mut guard = Peer::start("guard");
    guard.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(guard.exit().await.success());

    let mut guard = Peer::start("guard");
    guard.send(&json!({"Dance": 1}));
    assert!(!guard.exit().await.success());
}

#[test]
fn internal_commands_by_hand_do_nothing() {
    for program in [EXE, WORKER] {
        for command in ["guard", "exec-child"] {
            let status = Command::new(program).arg(command).stdin(Stdio::null()).status().unwrap();
            assert!(!status.success());
        }
    }
}

#[test]
fn a_guard_started_by_hand_says_who_starts_it() {
    for arguments in [&[][..], &["--help"]] {
        let output = Command::new(EXE).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "dmf-guard: dmf-worker starts this beside each of its children\n");
    }
}
