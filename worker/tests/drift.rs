//! What the doveadm of this machine does in each trouble that a lab can provoke, against what the classifier makes
//! of it: a new Dovecot that says it otherwise fails here first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stderr, reason = "a case that can't be provoked is told aloud")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use dmf_lab::{Folders, Lab, Proxy, Seed, SourceDovecot, Storage, poll_until};
use dmf_shared::domain::outcome::Outcome;
use dmf_worker::doveadm::{
    classify::{RunEnd, RunKind},
    judge::{JudgeInput, Judgement, judge},
    mail_log::StderrReader,
};

const USER: &str = "alice";
const PASSWORD: &str = "alicepw";
const DEADLINE: Duration = Duration::from_secs(40);

/// A source with one user, and a target.
struct Scene {
    lab: Lab,
    proxy: Proxy,
}

impl Scene {
    async fn start(storage: Storage, folders: Folders, mails: u64) -> Self {
        let builder = Lab::builder().source("old").max_userip_connections(1).target(storage);
        let lab = builder.start().await.unwrap();
        lab.source("old").add_user(USER, PASSWORD).unwrap();
        lab.source("old").seed(USER, &Seed::new(folders, mails)).unwrap();
        let proxy = Proxy::start(lab.source("old").addr()).await.unwrap();
        Self { lab, proxy }
    }

    fn source(&self) -> &SourceDovecot {
        self.lab.source("old")
    }

    /// `backup -R` of the user, as the worker runs it.
    fn backup(&self) -> Backup {
        Backup { port: self.proxy.port(), ..Backup::default() }
    }

    async fn run(&self, backup: &Backup) -> Judgement {
        let args = backup.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        judged(&self.lab.target().doveadm(&args).await.unwrap())
    }

    /// The user's home on the target.
    fn home(&self) -> PathBuf {
        self.lab.target().conf_path().parent().unwrap().join("mail").join(USER)
    }
}

/// The words of a backup.
struct Backup {
    host: &'static str,
    port: u16,
    password: &'static str,
    user: &'static str,
    further: Vec<&'static str>,
}

impl Default for Backup {
    fn default() -> Self {
        Self { host: "127.0.0.1", port: 0, password: PASSWORD, user: USER, further: Vec::new() }
    }
}

impl Backup {
    fn args(&self) -> Vec<String> {
        let mut settings = vec![
            format!("imapc_host={}", self.host),
            format!("imapc_port={}", self.port),
            format!("imapc_user={USER}"),
            format!("imapc_password={}", self.password),
            "plugin/mail_log_events=save copy expunge".to_owned(),
            "plugin/mail_log_fields=uid box".to_owned(),
        ];
        if !self.further.iter().any(|setting| setting.starts_with("mail_plugins=")) {
            settings.push("mail_plugins=notify mail_log".to_owned());
        }
        settings.extend(self.further.iter().map(|setting| (*setting).to_owned()));
        let settings = settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]);
        settings.chain(["backup", "-R", "-u", self.user, "imapc:"].map(str::to_owned)).collect()
    }
}

fn judged(output: &Output) -> Judgement {
    let mut reader = StderrReader::new();
    reader.feed(&output.stderr);
    let status = output.status;
    let end = status.code().map_or_else(|| RunEnd::Signal(status.signal().unwrap()), RunEnd::of_code);
    let judgement = judge(JudgeInput {
        end,
        stderr: &reader.finish(),
        stdout: &output.stdout,
        kind: RunKind::Sync,
        success_code: 0,
        phase: None,
        master_user: false,
    });
    eprintln!(
        "{end:?} {:?} {}\n{}",
        judgement.outcome,
        judgement.message,
        String::from_utf8_lossy(&output.stderr)
    );
    judgement
}

fn total(judgement: &Judgement) -> (u64, u64) {
    (judgement.saved.values().sum(), judgement.expunged.values().sum())
}

#[tokio::test]
async fn success_and_a_further_run() {
    let scene = Scene::start(Storage::Mdbox, Folders::Odd, 60).await;
    let first = scene.run(&scene.backup()).await;
    assert_eq!((first.outcome, total(&first)), (Outcome::Success, (60, 0)));
    let further = scene.run(&scene.backup()).await;
    assert_eq!((further.outcome, total(&further)), (Outcome::Success, (0, 0)));
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
    let kill = async {
        poll_until("nothing was saved", DEADLINE, async || {
            let found = scene.lab.target().mailboxes(USER).await;
            match found.map(|found| found.get("INBOX").map_or(0, |inbox| inbox.messages)) {
                Ok(1..) => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await
        .unwrap();
        scene.proxy.cut().await.unwrap();
    };
    let backup = scene.backup();
    let (ran, ()) = tokio::join!(scene.run(&backup), kill);
    assert!(matches!(ran.outcome, Outcome::Temporary | Outcome::Unreachable), "{ran:?}");
    let there = scene.lab.target().mailboxes(USER).await.unwrap()["INBOX"].messages;
    assert_eq!(total(&ran), (there, 0), "what was saved is told in spite of the end");
    scene.proxy.heal().await.unwrap();
    scene.proxy.set_rate(None);
    let again = scene.run(&scene.backup()).await;
    assert_eq!((again.outcome, total(&again)), (Outcome::Success, (800 - there, 0)), "{again:?}");
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
