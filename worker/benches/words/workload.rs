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

/// The versions of Dovecot whose words differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dovecot {
    V23,
    V24,
}

/// Standard error of a sync that saves so many mails, each in another one of twenty mailboxes than the last.
pub(crate) fn log_of(version: Dovecot, mails: usize) -> Vec<u8> {
    let mut log = String::new();
    for mail in 0..mails {
        let mailbox = format!("Folder/{}", mail % 20);
        let before = match version {
            Dovecot::V23 => String::new(),
            Dovecot::V24 => format!("Mailbox {mailbox}: "),
        };
        let line = format!(
            "dsync(user@mail.example): Info: {before}copy from {mailbox}: box={mailbox}, uid={}\n",
            mail + 1
        );
        log.push_str(&line);
    }
    log.into_bytes()
}

/// Standard error of a run that complains in so many lines.
pub(crate) fn errors_of(lines: usize) -> Vec<u8> {
    const TEXTS: [&str; 4] = [
        "Mailbox INBOX: Remote didn't send mail UID=258",
        "imapc(127.0.0.1:11199): connect(127.0.0.1, 11199) failed: Connection refused - disconnecting",
        "imapc(127.0.0.1:11143): Authentication failed: [AUTHENTICATIONFAILED] Authentication failed.",
        "Mailbox INBOX sync: mailbox_delete failed: INBOX can't be deleted.",
    ];
    let lines =
        TEXTS.iter().cycle().take(lines).map(|text| format!("dsync(user@mail.example): Error: {text}\n"));
    lines.collect::<String>().into_bytes()
}

/// Reads a log in pieces of the size of a pipe; how many mailboxes got mail and errors were kept.
pub(crate) fn read(log: &[u8]) -> usize {
    let reading = reading(log);
    reading.counts().saved.len() + reading.errors().count()
}

fn reading(log: &[u8]) -> StderrReading {
    let mut reader = StderrReader::new();
    log.chunks(64 << 10).for_each(|piece| reader.feed(piece));
    reader.finish()
}

/// The manual's command.
fn command() -> Command {
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
    let Ok(command) = Command::from_value(&command) else { unreachable!("the command is right") };
    command
}

/// A template, and a user to fill it with.
pub(crate) struct Filling {
    command: Command,
    template: CommandTemplate,
    user: Properties,
}

impl Filling {
    pub(crate) fn new() -> Self {
        let command = command();
        let template = compile(&command);
        let user = Properties {
            uid: Some("user@mail.example".to_owned()),
            ruid: Some("user".to_owned()),
            sourcehost: Some("imap.old.example".to_owned()),
            sourcepasswd: Some("a secret".into()),
            sourceport: Some(993),
            ..Properties::default()
        };
        Self { command, template, user }
    }

    /// Makes the template anew, as for each lease.
    pub(crate) fn compile(&self) -> CommandTemplate {
        compile(&self.command)
    }

    /// Fills it; how many items its argv has.
    pub(crate) fn fill(&self) -> usize {
        self.template.render(&self.user).map_or(0, |rendered| rendered.items().count())
    }
}

fn compile(command: &Command) -> CommandTemplate {
    let Ok(compiled) = CommandTemplate::compile(command) else { unreachable!("the command is right") };
    compiled.template
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
