//! What people use today: mbsync, and a loop in the shell.

use std::time::Duration;

use anyhow::Result;

use super::{
    bare::Bare,
    commands::Commands,
    shell::Shell,
    stage::{PASSWORD, Stage},
};

/// A tool that moves mailboxes, and how many of them at a time.
#[derive(Debug)]
pub(super) enum Peer {
    /// `doveadm backup` for one user after the other, and nothing else.
    Loop(Bare),
    /// mbsync into maildirs of its own.
    Mbsync(Shell, usize),
}

impl Peer {
    pub(super) fn shell_loop(stage: &Stage, commands: &Commands) -> Result<Self> {
        Ok(Self::Loop(Bare::new(stage, &commands.sync_alone())?))
    }

    pub(super) fn mbsync(stage: &Stage, at_a_time: usize) -> Result<Self> {
        Ok(Self::Mbsync(Shell::new(stage.lab())?, at_a_time))
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Loop(_) => "loop of `doveadm backup`".to_owned(),
            Self::Mbsync(_, at_a_time) => format!("`xargs -P {at_a_time} mbsync`"),
        }
    }

    /// Makes everything as if these users had never been moved.
    pub(super) fn begin(&self, stage: &Stage, users: &[String]) -> Result<()> {
        match self {
            Self::Loop(_) => stage.empty_target(users),
            Self::Mbsync(shell, _) => users.iter().try_for_each(|user| prepare(shell, stage, user)),
        }
    }

    /// How long it takes for all of these users.
    pub(super) async fn run(&self, stage: &Stage, users: &[String]) -> Result<Duration> {
        match self {
            Self::Loop(bare) => bare.run(stage, users, 1).await,
            Self::Mbsync(shell, at_a_time) => {
                let list = shell.write("users.txt", &format!("{}\n", users.join("\n")))?;
                let config = shell.path("mbsync/{}.rc");
                let (at_a_time, list) = (at_a_time.to_string(), list.display().to_string());
                let config = config.display().to_string();
                let arguments =
                    ["-P", &at_a_time, "-a", &list, "-I", "{}", "mbsync", "-q", "-c", &config, "-a"];
                shell.time(stage.lab(), "xargs", &arguments).await
            }
        }
    }
}

/// An empty maildir and the settings for a user. Like the target, mbsync does not wait for the disk.
fn prepare(shell: &Shell, stage: &Stage, user: &str) -> Result<()> {
    let mail = shell.path(&format!("mbsync/{user}"));
    if mail.exists() {
        std::fs::remove_dir_all(&mail)?;
    }
    shell.make_directory("mbsync")?;
    shell.make_directory(&format!("mbsync/{user}"))?;
    let (proxy, password, mail) = (stage.host().proxy.addr(), PASSWORD, mail.display());
    let settings = format!(
        "FSync no

IMAPAccount source
Host {ip}
Port {port}
User {user}
Pass \"{password}\"
SSLType None
AuthMechs LOGIN

IMAPStore source
Account source

MaildirStore target
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :source:
Near :target:
Patterns *
Create Near
Expunge Near
Sync Pull
SyncState *
",
        ip = proxy.ip(),
        port = proxy.port(),
    );
    shell.write(&format!("mbsync/{user}.rc"), &settings)?;
    Ok(())
}
