//! What is measured: the words of doveadm are read, a command is made, a run is judged.

use dmf_shared::domain::{
    command::Command,
    inject::{CommandTemplate, Properties},
    outcome::Outcome,
};
use dmf_worker::doveadm::{
    classify::{RunEnd, RunKind},
    judge::{JudgeInput, judge},
    mail_log::{StderrReader, StderrReading},
};
use serde_json::json;

/// Standard error of a sync that saves so many mails, over twenty mailboxes, as doveadm 2.3 writes it.
pub(crate) fn log_of(mails: usize) -> Vec<u8> {
    use std::io::Write as _;
    let mut log = Vec::new();
    for mail in 0..mails {
        let mailbox = mail % 20;
        // A Vec takes everything.
        let _ = writeln!(
            log,
            "dsync(user@mail.example): Info: copy from Folder/{mailbox}: box=Folder/{mailbox}, uid={mail}"
        );
    }
    log
}

/// Reads a log in pieces of the size of a pipe; how many mails were saved.
pub(crate) fn read(log: &[u8]) -> u64 {
    reading(log).counts().total_saved()
}

fn reading(log: &[u8]) -> StderrReading {
    let mut reader = StderrReader::new();
    log.chunks(64 << 10).for_each(|piece| reader.feed(piece));
    reader.finish()
}

/// The manual's command, and a user to fill it with.
pub(crate) struct Filling {
    template: CommandTemplate,
    user: Properties,
}

impl Filling {
    pub(crate) fn new() -> Self {
        let option = |name: &str, value: &str| json!({ "name": name, "value": value });
        let command = json!({
            "name": "doveadm",
            "options": [
                option("imapc_user", "%{mdb:ruid}"),
                option("imapc_password", "%{mdb:sourcepasswd}"),
                option("imapc_host", "%{mdb:sourcehost}"),
                option("imapc_port", "%{mdb:sourceport}"),
            ],
            "subCommand": {
                "name": "backup",
                "flags": ["-R"],
                "options": [option("-u", "%{mdb:uid}")],
                "arguments": ["imapc:"],
            },
        });
        let Ok(Ok(compiled)) =
            Command::from_value(&command).map(|command| CommandTemplate::compile(&command))
        else {
            unreachable!("the command is right");
        };
        let user = Properties {
            uid: Some("user@mail.example".to_owned()),
            ruid: Some("user".to_owned()),
            sourcehost: Some("imap.old.example".to_owned()),
            sourcepasswd: Some("a secret".into()),
            sourceport: Some(993),
            ..Properties::default()
        };
        Self { template: compiled.template, user }
    }

    /// Fills it; how many items its argv has.
    pub(crate) fn fill(&self) -> usize {
        self.template.render(&self.user).map_or(0, |rendered| rendered.items().count())
    }
}

/// Judges a run that met a wrong password.
pub(crate) fn judge_refusal() -> Outcome {
    let stderr = reading(
        b"doveadm(user): Error: imapc(imap.old.example:993): Authentication failed: [AUTHENTICATIONFAILED] \
          Authentication failed.\ndsync(user): Error: Failed to initialize user: Namespace '': Mailbox list driver \
          imapc: Login to imap.old.example failed\n",
    );
    judge(JudgeInput {
        end: RunEnd::of_code(75),
        stderr: &stderr,
        stdout: b"",
        kind: RunKind::Sync,
        success_code: 0,
        phase: None,
        master_user: false,
    })
    .outcome
}
