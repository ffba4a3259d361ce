use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use crate::account::Account;
use crate::dovecot::messages::{self, Message};
use crate::error::{Doing as _, Error, Result};
use crate::programs;
use crate::server::{SYSTEM_PATH, tail};

const DEADLINE: Duration = Duration::from_mins(2);

/// What a mailbox holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Number of messages.
    pub messages: u64,
    /// Bytes of all messages, every line end counted as CRLF.
    pub vsize: u64,
}

/// One row of `doveadm -f json mailbox status`, in which numbers are strings.
#[derive(Deserialize)]
struct Row {
    mailbox: String,
    messages: String,
    vsize: String,
}

/// doveadm over one configuration, run as the user that owns the mail.
#[derive(Debug)]
pub(super) struct Doveadm {
    program: PathBuf,
    conf: PathBuf,
    ids: Option<(u32, u32)>,
}

impl Doveadm {
    pub(super) fn new(conf: &Path, account: &Account) -> Result<Self> {
        Ok(Self { program: programs::DOVEADM.locate()?, conf: conf.to_path_buf(), ids: account.ids() })
    }

    pub(super) fn conf(&self) -> &Path {
        &self.conf
    }

    /// Runs doveadm to its end, whatever its exit code is.
    pub(super) async fn run(&self, args: &[&str]) -> Result<Output> {
        self.run_on(Stdio::null(), args).await
    }

    /// The same with a standard input.
    pub(super) async fn run_on(&self, input: Stdio, args: &[&str]) -> Result<Output> {
        let child = self.start(input, args)?;
        match tokio::time::timeout(DEADLINE, child.wait_with_output()).await {
            Ok(output) => output.doing(|| format!("run {}", self.program.display())),
            Err(_) => Err(Error::Deadline {
                what: format!("`{}` did not end", describe(args)),
                secs: DEADLINE.as_secs(),
                seen: String::new(),
            }),
        }
    }

    /// Starts doveadm, whose output whoever waits for it gets.
    pub(super) fn start(&self, input: Stdio, args: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(&self.conf)
            .args(args)
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command.spawn().doing(|| format!("run {}", self.program.display()))
    }

    /// Counts all mailboxes of a user, as the framework itself does.
    pub(super) async fn mailboxes(&self, user: &str) -> Result<BTreeMap<String, Count>> {
        let args = ["-f", "json", "mailbox", "status", "-u", user, "messages vsize", "INBOX/*", "INBOX", "*"];
        self.read(&args, parse).await
    }

    /// All messages of a user, by mailbox; a mailbox without any is not there.
    pub(super) async fn messages(&self, user: &str) -> Result<BTreeMap<String, Vec<Message>>> {
        let [format, pager, fetch] = messages::FETCH;
        let args = [format, pager, fetch, "-u", user, messages::FIELDS, "ALL"];
        self.read(&args, messages::parse).await
    }

    async fn read<T>(&self, args: &[&str], parse: fn(&[u8]) -> Option<T>) -> Result<T> {
        let output = self.run(args).await?;
        if !output.status.success() {
            let stderr = tail(&output.stderr);
            return Err(Error::Command { command: describe(args), status: output.status, stderr });
        }
        parse(&output.stdout).ok_or_else(|| Error::Output {
            command: describe(args),
            output: String::from_utf8_lossy(&output.stdout).chars().take(500).collect(),
        })
    }
}

fn parse(json: &[u8]) -> Option<BTreeMap<String, Count>> {
    let rows: Vec<Row> = serde_json::from_slice(json).ok()?;
    let count = |row: Row| {
        let count = Count { messages: row.messages.parse().ok()?, vsize: row.vsize.parse().ok()? };
        Some((row.mailbox, count))
    };
    rows.into_iter().map(count).collect()
}

fn describe(args: &[&str]) -> String {
    format!("doveadm {}", args.join(" "))
}
