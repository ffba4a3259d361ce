//! What the doveadm of this machine does in each trouble that a lab can provoke, against what the classifier makes
//! of it: a new Dovecot that says it otherwise fails here first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stderr, reason = "a case that can't be provoked is told aloud")]

mod midway;
mod scene;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

use dmf_lab::{Folders, Storage};
use dmf_shared::domain::outcome::Outcome;

use scene::{Backup, DEADLINE, PASSWORD, Scene, USER, judged, total};

#[tokio::test]
async fn success_and_a_further_run() {
    let scene = Scene::start(Storage::Mdbox, Folders::Odd, 60).await;
    let first = scene.run(&scene.backup()).await;
    assert_eq!((first.outcome, total(&first)), (Outcome::Success, (60, 0)));
    let further = scene.run(&scene.backup()).await;
    assert_eq!((further.outcome, total(&further)), (Outcome::Success, (0, 0)));
}

/// A `%` in a mailbox's name: dsync means to rename it at each run, and says that it has changed.
#[tokio::test]
async fn a_name_that_the_storage_refuses() {
    for storage in [Storage::Mdbox, Storage::Sdbox] {
        let scene = Scene::start(storage, Folders::Inbox, 3).await;
        scene.source().append(USER, "Percent %d %s", 2).unwrap();
        scene.run(&scene.backup()).await;
        let ran = scene.run(&scene.backup()).await;
        assert_eq!(ran.outcome, Outcome::Changed, "{storage}: {ran:?}");
        let there: u64 =
            scene.lab.target().mailboxes(USER).await.unwrap().values().map(|found| found.messages).sum();
        assert_eq!(there, 5, "{storage}");
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 1).await;
    let ran = scene.run(&Backup { password: "wrong", ..scene.backup() }).await;
    assert_eq!(ran.outcome, Outcome::Authentication, "{ran:?}");
}

/// The source's own users are listed, so that its configuration stands for a target that does not know one.
#[tokio::test]
async fn a_user_that_the_target_does_not_know() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 1).await;
    let args = Backup { user: "nobody", ..scene.backup() }.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = judged(&scene.source().doveadm(&args).await.unwrap());
    assert_eq!(ran.outcome, Outcome::TargetUser, "{ran:?}");
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_host() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 1).await;
    let port = dmf_lab::Port::reserve().unwrap();
    let refused = scene.run(&Backup { port: port.number(), ..scene.backup() }).await;
    assert_eq!(refused.outcome, Outcome::Unreachable, "{refused:?}");
    let unknown = scene.run(&Backup { host: "nowhere.invalid", ..scene.backup() }).await;
    assert_eq!(unknown.outcome, Outcome::Unreachable, "{unknown:?}");
}

#[tokio::test]
async fn a_limit_of_the_source() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 1).await;
    let mut taken = TcpStream::connect(scene.source().addr()).unwrap();
    taken.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(taken, "a LOGIN {USER} {PASSWORD}\r\n").unwrap();
    let answered = BufReader::new(&taken).lines().map(Result::unwrap).any(|line| line.starts_with("a OK"));
    assert!(answered);
    let ran = scene.run(&scene.backup()).await;
    assert_eq!(ran.outcome, Outcome::Limited, "{ran:?}");
}

#[tokio::test]
async fn a_diverged_maildir_at_every_run() {
    let scene = Scene::start(Storage::Maildir, Folders::Inbox, 5).await;
    assert_eq!(scene.run(&scene.backup()).await.outcome, Outcome::Success);
    scene.lab.target().deliver(USER, "INBOX", "Subject: new\n\nnew\n").await.unwrap();
    for _ in 0..2 {
        let ran = scene.run(&scene.backup()).await;
        assert_eq!(ran.outcome, Outcome::Diverged, "{ran:?}");
    }
}

#[tokio::test]
async fn an_mdbox_heals() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 5).await;
    assert_eq!(scene.run(&scene.backup()).await.outcome, Outcome::Success);
    scene.lab.target().deliver(USER, "INBOX", "Subject: new\n\nnew\n").await.unwrap();
    let ran = scene.run(&scene.backup()).await;
    assert_eq!(ran.outcome, Outcome::Success, "{ran:?}");
    assert_eq!(scene.lab.target().mailboxes(USER).await.unwrap()["INBOX"].messages, 5);
}

/// dsync does not ask the quota: the run is a success and all mail is there.
#[tokio::test]
async fn a_quota_that_is_too_small() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 20).await;
    let quota = vec![
        "mail_plugins=notify mail_log quota",
        "plugin/quota=count:User quota",
        "plugin/quota_vsizes=yes",
        "plugin/quota_rule=*:storage=1k",
    ];
    let ran = scene.run(&Backup { further: quota, ..scene.backup() }).await;
    assert_eq!((ran.outcome, total(&ran)), (Outcome::Success, (20, 0)), "{ran:?}");
}

#[tokio::test]
async fn settings_that_can_not_work() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 1).await;
    for setting in ["mail_plugins=nosuch", "imapc_ssl=maybe", "mail_location=nosuch:~/x"] {
        let ran = scene.run(&Backup { further: vec![setting], ..scene.backup() }).await;
        assert_eq!(ran.outcome, Outcome::Configuration, "{setting}: {ran:?}");
    }
}

#[tokio::test]
async fn a_home_that_can_not_be_written() {
    let scene = Scene::start(Storage::Mdbox, Folders::Inbox, 1).await;
    if scene.lab.target().mail_user().is_none() {
        eprintln!("SKIPPED: only root can make a directory that the mail user can't write");
        return;
    }
    std::fs::create_dir_all(scene.home()).unwrap();
    let ran = scene.run(&scene.backup()).await;
    assert_eq!(ran.outcome, Outcome::Backend, "{ran:?}");
}

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,mode=0777", "small"]).arg(&at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_full_disk() {
    for storage in [Storage::Mdbox, Storage::Maildir] {
        let scene = Scene::start(storage, Folders::Inbox, 400).await;
        let Some(disk) = SmallDisk::mount(scene.home()) else {
            eprintln!("SKIPPED: no file system can be mounted here, so that none can be full");
            return;
        };
        let ran = scene.run(&scene.backup()).await;
        assert_eq!(ran.outcome, Outcome::Backend, "{storage}: {ran:?}");
        drop(disk);
    }
}
