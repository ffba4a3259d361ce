use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use tokio::process::Child;

use crate::account::Account;
use crate::dovecot::doveadm::{Count, Doveadm};
use crate::dovecot::{Message, check_version, conf};
use crate::error::{Doing as _, Error, Result};
use crate::home::Home;
use crate::mail::Maildir;
use crate::probe::Probe;
use crate::programs;
use crate::server::{Recipe, Server};

/// How a target stores mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Dovecot's own format, several messages a file; heals a diverged mailbox.
    #[default]
    Mdbox,
    /// Dovecot's own format, one message a file.
    Sdbox,
    /// One message a file, flags in its name; a diverged INBOX does not heal.
    Maildir,
}

impl Storage {
    pub(super) fn mail_location(self) -> &'static str {
        match self {
            Self::Mdbox => "mdbox:~/mdbox",
            Self::Sdbox => "sdbox:~/sdbox",
            Self::Maildir => "maildir:~/Maildir",
        }
    }
}

impl FromStr for Storage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mdbox" => Ok(Self::Mdbox),
            "sdbox" => Ok(Self::Sdbox),
            "maildir" => Ok(Self::Maildir),
            other => Err(format!("no storage {other:?}: mdbox, sdbox or maildir")),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mdbox => "mdbox",
            Self::Sdbox => "sdbox",
            Self::Maildir => "maildir",
        })
    }
}

/// A Dovecot without listeners that knows every user: what a worker's doveadm runs against.
#[derive(Debug)]
pub struct TargetDovecot {
    server: Server,
    doveadm: Doveadm,
    account: Account,
    storage: Storage,
}

impl TargetDovecot {
    pub(crate) async fn launch(home: Arc<Home>, storage: Storage) -> Result<Self> {
        check_version().await?;
        let account = Account::of_mail()?;
        let dir = home.path().join("target");
        for part in ["", "run", "state", "mail"] {
            account.create_dir(&dir.join(part))?;
        }
        let file = dir.join("dovecot.conf");
        account.write(&file, conf::target(&dir, &account, storage))?;
        let recipe = Recipe {
            name: "target Dovecot".into(),
            program: programs::DOVECOT.locate()?,
            args: vec!["-F".into(), "-c".into(), file.clone().into()],
            run_as: account.ids(),
            log: dir.join("server.log"),
            scratch: Some(dir.join("run")),
            probe: Probe::Socket(dir.join("run/auth-userdb")),
        };
        let doveadm = Doveadm::new(&file, &account)?;
        Ok(Self { server: Server::launch(recipe, home).await?, doveadm, account, storage })
    }

    /// The configuration file, for `doveadm -c`.
    pub fn conf_path(&self) -> &Path {
        self.doveadm.conf()
    }

    /// The user that doveadm must run as; `None` when that is the one who runs the lab.
    pub fn mail_user(&self) -> Option<&str> {
        self.account.other()
    }

    /// How this target stores mail.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// All mailboxes of a user with their counts, from a real `doveadm mailbox status`. A user who never got
    /// mail has none.
    pub async fn mailboxes(&self, user: &str) -> Result<BTreeMap<String, Count>> {
        self.doveadm.mailboxes(user).await
    }

    /// All messages of a user by mailbox, as doveadm reads them here; mailboxes without any are not there.
    pub async fn messages(&self, user: &str) -> Result<BTreeMap<String, Vec<Message>>> {
        self.doveadm.messages(user).await
    }

    /// Runs `doveadm -c CONF ARGS` as the mail user and returns whatever came of it.
    pub async fn doveadm(&self, args: &[&str]) -> Result<Output> {
        self.doveadm.run(args).await
    }

    /// Starts `doveadm -c CONF ARGS` as the mail user with this standard input; it is killed when dropped.
    pub fn start_doveadm(&self, input: Stdio, args: &[&str]) -> Result<Child> {
        self.doveadm.start(input, args)
    }

    /// Delivers a message to a mailbox that exists, as mail that arrives there.
    pub async fn deliver(&self, user: &str, mailbox: &str, message: &str) -> Result<()> {
        super::check_name(user)?;
        let dir = self.conf_path().parent().unwrap_or(Path::new("/"));
        let file = dir.join(format!("deliver-{user}"));
        std::fs::write(&file, message).doing(|| format!("write {}", file.display()))?;
        let input = std::fs::File::open(&file).doing(|| format!("open {}", file.display()))?;
        let args = ["save", "-u", user, "-m", mailbox];
        let output = self.doveadm.run_on(input.into(), &args).await?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = crate::server::tail(&output.stderr);
        Err(Error::Command { command: args.join(" "), status: output.status, stderr })
    }

    /// Makes an empty mailbox in a user's maildir by hand, whatever doveadm thinks of its name.
    pub fn make_maildir(&self, user: &str, mailbox: &str) -> Result<()> {
        super::check_name(user)?;
        let home = self.home_of(user).ok_or_else(|| Error::Name(user.into()))?;
        Maildir::new(home.join("Maildir"), &self.account).create(&[mailbox])
    }

    /// Removes all mail of a user, as if they had never been migrated.
    pub fn forget(&self, user: &str) -> Result<()> {
        super::check_name(user)?;
        let home = self.home_of(user).ok_or_else(|| Error::Name(user.into()))?;
        if home.exists() {
            std::fs::remove_dir_all(&home).doing(|| format!("remove {}", home.display()))?;
        }
        Ok(())
    }

    /// Stops the auth service: user lookups fail until [`TargetDovecot::start`].
    pub async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }

    /// Starts it again; nothing happens when it runs.
    pub async fn start(&self) -> Result<()> {
        self.server.start().await
    }

    /// Process group of the running Dovecot, `None` while it is stopped.
    pub fn process_group(&self) -> Option<i32> {
        self.server.group()
    }

    fn home_of(&self, user: &str) -> Option<std::path::PathBuf> {
        Some(self.conf_path().parent()?.join("mail").join(user))
    }
}
