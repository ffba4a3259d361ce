//! Troubles that come while mail is being copied.

use std::process::{Output, Stdio};

use dmf_lab::{Folders, Storage, poll_until};
use dmf_shared::domain::outcome::Outcome;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::scene::{Backup, DEADLINE, Scene, USER, judged, total};

#[tokio::test]
async fn a_source_that_stalls_after_the_login() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 2000).await;
    scene.proxy.set_rate(Some(100_000));
    let backup = Backup { further: vec!["imapc_cmd_timeout=2s"], ..scene.backup() };
    let stall = async {
        poll_until("nobody logged in", DEADLINE, async || match scene.source().logins() {
            Ok(logins) if !logins.is_empty() => Ok(()),
            seen => Err(format!("{seen:?}")),
        })
        .await
        .unwrap();
        scene.proxy.stall(true);
    };
    let (ran, ()) = tokio::join!(scene.run(&backup), stall);
    // Commands time out, and so does each new login: whichever it says last, it is tried again.
    assert!(matches!(ran.outcome, Outcome::Temporary | Outcome::Unreachable), "{ran:?}");
}

#[tokio::test]
async fn a_source_that_is_killed_in_the_middle() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 800).await;
    scene.proxy.set_rate(Some(300_000));
    let cut = async {
        scene.wait_for_mail().await;
        scene.proxy.cut().await.unwrap();
    };
    let backup = scene.backup();
    let (ran, ()) = tokio::join!(scene.run(&backup), cut);
    assert!(matches!(ran.outcome, Outcome::Temporary | Outcome::Unreachable), "{ran:?}");
    let there = scene.lab.target().mailboxes(USER).await.unwrap()["INBOX"].messages;
    assert_eq!(total(&ran), (there, 0), "what was saved is told in spite of the end");
    scene.proxy.heal().await.unwrap();
    scene.proxy.set_rate(None);
    let again = scene.run(&scene.backup()).await;
    assert_eq!((again.outcome, total(&again)), (Outcome::Success, (800 - there, 0)), "{again:?}");
}

/// Ends a backup by this signal when it has saved some mail.
async fn end_by(scene: &Scene, signal: Signal) -> Output {
    let args = scene.backup().args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = scene.lab.target().start_doveadm(Stdio::null(), &args).unwrap();
    scene.wait_for_mail().await;
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), signal).unwrap();
    child.wait_with_output().await.unwrap()
}

/// Who obeys the signal ends with a code, who can't by the signal; the mail that was saved is told by both.
#[tokio::test]
async fn a_doveadm_that_is_ended_by_a_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 800).await;
        scene.proxy.set_rate(Some(300_000));
        let output = end_by(&scene, signal).await;
        assert_eq!(output.status.code().is_none(), signal == Signal::SIGKILL, "{signal}: {output:?}");
        let ran = judged(&output);
        assert_eq!(ran.outcome, Outcome::Killed, "{signal}: {ran:?}");
        let there = scene.lab.target().mailboxes(USER).await.unwrap()["INBOX"].messages;
        assert_eq!(total(&ran), (there, 0), "{signal}");
    }
}

/// Mailboxes that were listed and are gone when their turn comes.
#[tokio::test]
async fn mailboxes_that_disappear() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 400).await;
    let names: Vec<String> = (0..10).map(|number| format!("box{number}")).collect();
    for name in &names {
        scene.source().append(USER, name, 60).unwrap();
    }
    scene.proxy.set_rate(Some(300_000));
    let delete = async {
        scene.wait_for_mail().await;
        for name in &names {
            let deleted = scene.source().doveadm(&["mailbox", "delete", "-u", USER, name]).await.unwrap();
            assert!(deleted.status.success(), "{deleted:?}");
        }
    };
    let backup = scene.backup();
    let (ran, ()) = tokio::join!(scene.run(&backup), delete);
    assert_eq!(ran.outcome, Outcome::Vanished, "{ran:?}");
    scene.proxy.set_rate(None);
    let again = scene.run(&scene.backup()).await;
    assert_eq!(again.outcome, Outcome::Success, "{again:?}");
    assert_eq!(scene.lab.target().mailboxes(USER).await.unwrap().len(), 1, "{again:?}");
}
