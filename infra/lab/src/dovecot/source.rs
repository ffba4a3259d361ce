use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::account::Account;
use crate::dovecot::conf::{self, Namespace};
use crate::dovecot::doveadm::{Count, Doveadm};
use crate::dovecot::logins::{self, Login};
use crate::dovecot::{Message, check_name, check_version};
use crate::error::{Doing as _, Result};
use crate::home::Home;
use crate::mail::{self, MailboxTruth, Maildir, Seed, Seeded};
use crate::poll::poll_until;
use crate::ports::Port;
use crate::probe::Probe;
use crate::programs;
use crate::server::{Recipe, Server, tail};

/// Dovecot looks at a password file at most once a second.
const PASSWORD_DEADLINE: Duration = Duration::from_secs(10);

/// What may differ between the sources of a lab and a usual server.
#[derive(Debug, Clone)]
pub(crate) struct SourceOptions {
    /// Connections of one user from one address.
    pub(crate) max_userip_connections: u32,
    /// Names of mailboxes.
    pub(crate) namespace: Namespace,
}

impl Default for SourceOptions {
    /// Dovecot's own defaults.
    fn default() -> Self {
        Self { max_userip_connections: 10, namespace: Namespace::default() }
    }
}

/// An IMAP server with users, a master user and mail that stands in Maildir.
#[derive(Debug)]
pub struct SourceDovecot {
    pub(crate) server: Server,
    pub(crate) port: Port,
    name: String,
    dir: PathBuf,
    account: Account,
    doveadm: Doveadm,
    /// Makes the file names of appended messages unique.
    appended: AtomicU64,
}

impl SourceDovecot {
    /// A user who may open everybody's mail (`imapc_master_user`).
    pub const MASTER_USER: &str = "master";
    /// The master user's password.
    pub const MASTER_PASSWORD: &str = "masterpw";

    pub(crate) async fn launch(home: Arc<Home>, name: &str, options: &SourceOptions) -> Result<Self> {
        check_name(name)?;
        check_version().await?;
        programs::IMAP_LOGIN.locate()?;
        let account = Account::of_mail()?;
        let dir = home.path().join(format!("source-{name}"));
        for part in ["", "run", "state", "mail", "passwd"] {
            account.create_dir(&dir.join(part))?;
        }
        let masters = format!("{}:{}\n", Self::MASTER_USER, Self::MASTER_PASSWORD);
        account.write(&dir.join("masters"), masters)?;
        let (program, file) = (programs::DOVECOT.locate()?, dir.join("dovecot.conf"));
        let (server, port) = Server::launch_on_free_port(&home, |port| {
            account.write(&file, conf::source(&dir, &account, port, options))?;
            Ok(Recipe {
                name: format!("source Dovecot {name}"),
                program: program.clone(),
                args: vec!["-F".into(), "-c".into(), file.clone().into()],
                run_as: account.ids(),
                log: dir.join("server.log"),
                scratch: Some(dir.join("run")),
                probe: Probe::Imap(port),
            })
        })
        .await?;
        let doveadm = Doveadm::new(&file, &account)?;
        Ok(Self { server, port, name: name.into(), dir, account, doveadm, appended: AtomicU64::new(0) })
    }

    /// The name that the lab was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configuration file.
    pub fn conf_path(&self) -> &Path {
        self.doveadm.conf()
    }

    /// Dovecot's log: logins, failed logins, ends of sessions.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("dovecot.log")
    }

    /// Lets a user log in with this password, at once. The user has no mail yet.
    pub fn add_user(&self, user: &str, password: &str) -> Result<()> {
        check_name(user)?;
        // In base64, a password may hold any character, the file's separators too. The empty fields say that this
        // user has mail, where the configuration says.
        let line = format!("{user}:{{PLAIN.b64}}{}::::::\n", BASE64_STANDARD.encode(password));
        let file = self.dir.join("passwd").join(user);
        let new = self.dir.join(format!("passwd-{user}.new"));
        self.account.write(&new, line)?;
        fs::rename(&new, &file).doing(|| format!("rename {}", new.display()))
    }

    /// Changes a user's password and waits until the running server takes the new one.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        self.add_user(user, password)?;
        if self.server.group().is_none() {
            return Ok(());
        }
        let what = format!("{} did not take the new password of {user}", self.name);
        poll_until(&what, PASSWORD_DEADLINE, async || {
            let output = self.doveadm(&["auth", "test", user, password]).await.map_err(|e| e.to_string())?;
            if output.status.success() { Ok(()) } else { Err(tail(&output.stderr)) }
        })
        .await
    }

    /// Writes a user's mail, made from the seed: the same seed and user make the same mail. The user may log in
    /// with [`SourceDovecot::add_user`] only.
    pub fn seed(&self, user: &str, seed: &Seed) -> Result<Seeded> {
        mail::write(&self.maildir(user)?, user, seed)
    }

    /// Adds `count` new messages to a mailbox, which is made when it does not exist, and returns what was added.
    pub fn append(&self, user: &str, mailbox: &str, count: u64) -> Result<MailboxTruth> {
        let first = self.appended.fetch_add(count, Ordering::Relaxed);
        mail::append(&self.maildir(user)?, user, mailbox, first..first + count)
    }

    /// Every successful login since the lab was started, from Dovecot's log.
    pub fn logins(&self) -> Result<Vec<Login>> {
        let path = self.log_path();
        match fs::read(&path) {
            Ok(log) => Ok(logins::parse(&String::from_utf8_lossy(&log))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e).doing(|| format!("read {}", path.display())),
        }
    }

    /// All mailboxes of a user with their counts, from doveadm on the source itself (no IMAP connection).
    pub async fn mailboxes(&self, user: &str) -> Result<BTreeMap<String, Count>> {
        self.doveadm.mailboxes(user).await
    }

    /// All messages of a user by mailbox, as doveadm reads them here; mailboxes without any are not there.
    pub async fn messages(&self, user: &str) -> Result<BTreeMap<String, Vec<Message>>> {
        self.doveadm.messages(user).await
    }

    /// Runs `doveadm -c CONF ARGS` on the source as the mail user and returns whatever came of it.
    pub async fn doveadm(&self, args: &[&str]) -> Result<Output> {
        self.doveadm.run(args).await
    }

    fn maildir(&self, user: &str) -> Result<Maildir<'_>> {
        check_name(user)?;
        let home = self.dir.join("mail").join(user);
        self.account.create_dir(&home)?;
        Ok(Maildir::new(home.join("Maildir"), &self.account))
    }
}
