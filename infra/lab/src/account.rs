use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, chown, geteuid};

use crate::error::{Doing as _, Error, Result};

/// The user that owns the mail when root runs the lab: Dovecot refuses to serve mail as root.
const MAIL_USER: &str = "mail";

/// The user that runs PostgreSQL when root runs the lab: it refuses to run as root.
const POSTGRES_USER: &str = "postgres";

/// A system user that a server runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) group: String,
    uid: Uid,
    gid: Gid,
    /// Whether processes and files must be handed to this user, because the lab itself is root's.
    is_other: bool,
}

impl Account {
    /// The system user that Dovecot and doveadm run as: `mail` for root, and whoever runs the lab otherwise.
    pub(crate) fn of_mail() -> Result<Self> {
        Self::instead_of_root(MAIL_USER)
    }

    /// The system user that PostgreSQL runs as: `postgres` for root, and whoever runs the lab otherwise.
    pub(crate) fn of_postgres() -> Result<Self> {
        Self::instead_of_root(POSTGRES_USER)
    }

    fn instead_of_root(name: &str) -> Result<Self> {
        let own = geteuid();
        let user = if own.is_root() { User::from_name(name) } else { User::from_uid(own) }
            .doing(|| "read the system's user list".into())?
            .ok_or_else(|| Error::NoSuchAccount(if own.is_root() { name.into() } else { own.to_string() }))?;
        let group = Group::from_gid(user.gid)
            .doing(|| "read the system's group list".into())?
            .map_or_else(|| user.gid.to_string(), |g| g.name);
        Ok(Self { user: user.name, group, uid: user.uid, gid: user.gid, is_other: own.is_root() })
    }

    /// Name of the user to switch to, `None` when the lab's own user serves the mail.
    pub(crate) fn other(&self) -> Option<&str> {
        self.is_other.then_some(self.user.as_str())
    }

    /// User and group id to switch to, `None` when the lab's own user serves the mail.
    pub(crate) fn ids(&self) -> Option<(u32, u32)> {
        self.is_other.then_some((self.uid.as_raw(), self.gid.as_raw()))
    }

    /// Hands a file or directory to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if self.is_other {
            chown(path, Some(self.uid), Some(self.gid)).doing(|| format!("chown {}", path.display()))?;
        }
        Ok(())
    }

    /// Makes a directory, with its parents, that this user owns; only the last one is handed over.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<()> {
        std::fs::create_dir_all(path).doing(|| format!("create {}", path.display()))?;
        self.own(path)
    }

    /// Writes a file that this user owns.
    pub(crate) fn write(&self, path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
        std::fs::write(path, content).doing(|| format!("write {}", path.display()))?;
        self.own(path)
    }
}
