//! Labs come, serve and go, and leave nothing.

#![allow(clippy::disallowed_methods, reason = "a test owns the processes that it starts")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its own functions too")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use dmf_lab::{Lab, Persistence, Storage, poll_until};
use support::{DEADLINE, assert_gone, greeting, living, login, redis};

fn full() -> dmf_lab::Builder {
    Lab::builder().mariadb().redis().source("old").target(Storage::Mdbox)
}

#[tokio::test]
async fn a_dropped_lab_leaves_no_process_and_no_directory() {
    let lab = full().start().await.unwrap();
    let (dir, groups) = (lab.dir().to_path_buf(), lab.describe().process_groups);
    assert_eq!(groups.len(), 4);
    for group in &groups {
        assert!(!living(*group).is_empty());
    }
    drop(lab);
    assert_gone(&dir, &groups).await;
}

#[tokio::test]
async fn a_panic_of_the_owner_leaves_nothing() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let owner = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lab = runtime.block_on(full().start()).unwrap();
        tell.send((lab.dir().to_path_buf(), lab.describe().process_groups)).unwrap();
        panic!("as a failing test does");
    });
    let (dir, groups) = told.await.unwrap();
    assert!(owner.join().is_err());
    assert_gone(&dir, &groups).await;
}

#[tokio::test]
async fn a_killed_owner_leaves_nothing() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_dmf-lab"))
        .args(["up", "--users", "2", "--messages", "5"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let report = read_object(owner.stdout.take().unwrap());
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let groups: Vec<i32> = serde_json::from_value(report["processGroups"].clone()).unwrap();
    let dir = std::path::PathBuf::from(report["dir"].as_str().unwrap());
    assert_eq!(groups.len(), 4);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_gone(&dir, &groups).await;
}

/// Reads the report of `dmf-lab up`, which stays open behind it.
fn read_object(from: impl std::io::Read) -> String {
    let mut text = String::new();
    for line in BufReader::new(from).lines() {
        text += &line.unwrap();
        if text.ends_with('}') && serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            return text;
        }
    }
    panic!("no report: {text}");
}

#[tokio::test]
async fn a_kept_lab_stays_until_its_groups_are_killed() {
    let lab = Lab::builder().redis().start().await.unwrap();
    let (groups, port) = (lab.describe().process_groups, lab.redis().port());
    let dir = lab.keep();
    assert_eq!(redis(port, "PING").await, "+PONG");
    for group in &groups {
        assert!(
            Command::new("sh").args(["-c", &format!("kill -s KILL -- -{group}")]).status().unwrap().success()
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
    assert_gone(&dir, &groups).await;
}

#[tokio::test]
async fn two_labs_do_not_meet() {
    let (one, two) = tokio::join!(full().start(), full().start());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.dir(), two.dir());
    assert_eq!(redis(one.redis().port(), "SET who one").await, "+OK");
    assert_eq!(redis(two.redis().port(), "GET who").await, "$-1");
    one.source("old").add_user("alice", "pw").unwrap();
    assert!(login(one.source("old").addr(), "alice", "pw").await.starts_with("OK"));
    assert!(login(two.source("old").addr(), "alice", "pw").await.starts_with("NO"));
    drop(one);
    assert_eq!(redis(two.redis().port(), "PING").await, "+PONG");
}

#[tokio::test]
async fn a_directory_that_holds_something_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter"), "dear").unwrap();
    let error = Lab::builder().redis().dir(dir.path()).start().await.unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    assert!(dir.path().join("letter").exists());
}

#[tokio::test]
async fn servers_come_back_on_the_same_port_after_stop_and_kill() {
    let lab = full().start().await.unwrap();
    let (mariadb, old) = (lab.mariadb(), lab.source("old"));
    old.add_user("alice", "pw").unwrap();
    mariadb.kill().await.unwrap();
    assert_eq!(greeting(mariadb.addr(), DEADLINE).await, None);
    mariadb.start().await.unwrap();
    mariadb.restart().await.unwrap();
    assert_eq!(greeting(mariadb.addr(), DEADLINE).await, Some(10));

    old.kill().await.unwrap();
    old.start().await.unwrap();
    old.restart().await.unwrap();
    assert!(login(old.addr(), "alice", "pw").await.starts_with("OK"));
    lab.target().stop().await.unwrap();
    assert!(lab.target().mailboxes("alice").await.is_err());
    lab.target().start().await.unwrap();
    assert!(lab.target().mailboxes("alice").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_paused_server_accepts_but_does_not_answer() {
    let lab = Lab::builder().mariadb().start().await.unwrap();
    let mariadb = lab.mariadb();
    mariadb.pause();
    assert_eq!(greeting(mariadb.addr(), Duration::from_millis(100)).await, None);
    mariadb.resume();
    assert_eq!(greeting(mariadb.addr(), DEADLINE).await, Some(10));
    mariadb.pause();
    mariadb.stop().await.unwrap();
}

#[tokio::test]
async fn redis_forgets_unless_it_writes_a_file() {
    for (persistence, remembered) in [(Persistence::None, "$-1"), (Persistence::AppendOnly, "$1")] {
        let lab = Lab::builder().redis_with(persistence).start().await.unwrap();
        assert_eq!(redis(lab.redis().port(), "SET key v").await, "+OK");
        lab.redis().kill().await.unwrap();
        lab.redis().start().await.unwrap();
        assert_eq!(redis(lab.redis().port(), "GET key").await, remembered);
    }
}

#[tokio::test]
async fn only_known_users_log_in_and_passwords_change() {
    let lab = Lab::builder().source("old").max_userip_connections(2).start().await.unwrap();
    let old = lab.source("old");
    old.add_user("alice@example.com", "first: \"quoted\"").unwrap();
    let quoted = "first: \\\"quoted\\\"";
    assert!(login(old.addr(), "alice@example.com", quoted).await.starts_with("OK"));
    assert!(login(old.addr(), "nobody", "pw").await.contains("AUTHENTICATIONFAILED"));
    assert!(login(old.addr(), "alice@example.com*master", "masterpw").await.starts_with("OK"));
    assert!(login(old.addr(), "nobody*master", "masterpw").await.contains("AUTHORIZATIONFAILED"));

    old.set_password("alice@example.com", "second").await.unwrap();
    assert!(login(old.addr(), "alice@example.com", "second").await.starts_with("OK"));
    assert!(login(old.addr(), "alice@example.com", quoted).await.starts_with("NO"));

    let logins = poll_until("not all sessions ended", DEADLINE, async || {
        let logins = old.logins().unwrap();
        if logins.len() == 3 && logins.iter().all(|l| l.ended_micros.is_some()) {
            Ok(logins)
        } else {
            Err(format!("{logins:?}"))
        }
    })
    .await
    .unwrap();
    assert!(logins.iter().all(|l| l.user == "alice@example.com"));
}

#[tokio::test]
async fn the_source_limits_connections_of_one_user() {
    let lab = Lab::builder().source("old").max_userip_connections(2).start().await.unwrap();
    let old = lab.source("old");
    old.add_user("alice", "pw").unwrap();
    let mut sessions = Vec::new();
    for expected in ["OK", "OK", "NO [LIMIT]"] {
        let mut imap = support::Imap::connect(old.addr()).await;
        let answer = imap.command("LOGIN alice pw").await;
        assert!(answer.starts_with(expected), "{answer}");
        sessions.push(imap);
    }
}
