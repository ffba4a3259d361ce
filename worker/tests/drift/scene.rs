//! A source, a target, and what the doveadm of this machine is told to do between them.

use std::{os::unix::process::ExitStatusExt as _, path::PathBuf, process::Output, time::Duration};

use dmf_lab::{Folders, Lab, Proxy, Seed, SourceDovecot, Storage, poll_until};
use dmf_worker::doveadm::{
    classify::{RunEnd, RunKind},
    judge::{JudgeInput, Judgement, judge},
    mail_log::StderrReader,
};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "alicepw";
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// A source with one user, and a target.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) proxy: Proxy,
}

impl Scene {
    pub(crate) async fn start(storage: Storage, folders: Folders, mails: u64) -> Self {
        let builder = Lab::builder().source("old").max_userip_connections(1).target(storage);
        let lab = builder.start().await.unwrap();
        lab.source("old").add_user(USER, PASSWORD).unwrap();
        lab.source("old").seed(USER, &Seed::new(folders, mails)).unwrap();
        let proxy = Proxy::start(lab.source("old").addr()).await.unwrap();
        Self { lab, proxy }
    }

    pub(crate) fn source(&self) -> &SourceDovecot {
        self.lab.source("old")
    }

    /// `backup -R` of the user, as the worker runs it.
    pub(crate) fn backup(&self) -> Backup {
        Backup { port: self.proxy.port(), ..Backup::default() }
    }

    pub(crate) async fn run(&self, backup: &Backup) -> Judgement {
        let args = backup.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        judged(&self.lab.target().doveadm(&args).await.unwrap())
    }

    /// Waits until the target holds some mail.
    pub(crate) async fn wait_for_mail(&self) {
        poll_until("nothing was saved", DEADLINE, async || {
            let found = self.lab.target().mailboxes(USER).await;
            match found.map(|found| found.values().map(|mailbox| mailbox.messages).sum::<u64>()) {
                Ok(1..) => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await
        .unwrap();
    }

    /// The user's home on the target.
    pub(crate) fn home(&self) -> PathBuf {
        self.lab.target().conf_path().parent().unwrap().join("mail").join(USER)
    }
}

/// The words of a backup.
pub(crate) struct Backup {
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) password: &'static str,
    pub(crate) user: &'static str,
    pub(crate) further: Vec<&'static str>,
}

impl Default for Backup {
    fn default() -> Self {
        Self { host: "127.0.0.1", port: 0, password: PASSWORD, user: USER, further: Vec::new() }
    }
}

impl Backup {
    pub(crate) fn args(&self) -> Vec<String> {
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

pub(crate) fn judged(output: &Output) -> Judgement {
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

pub(crate) fn total(judgement: &Judgement) -> (u64, u64) {
    (judgement.saved.values().sum(), judgement.expunged.values().sum())
}
