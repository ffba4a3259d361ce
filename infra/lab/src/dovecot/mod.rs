//! Source and target Dovecot, and what doveadm says about them.

mod conf;
mod doveadm;
mod logins;
mod messages;
mod source;
mod target;

pub(crate) use conf::Namespace;
pub use doveadm::Count;
pub use logins::Login;
pub use messages::Message;
pub use source::SourceDovecot;
pub(crate) use source::SourceOptions;
pub use target::{Storage, TargetDovecot};

use crate::error::{Doing as _, Error, Result};
use crate::programs;

/// The configuration language that the lab writes.
const VERSION: &str = "2.3.";

/// Fails unless the installed Dovecot is one that the lab writes configuration for.
pub(crate) async fn check_version() -> Result<()> {
    let mut command = tokio::process::Command::new(programs::DOVECOT.locate()?);
    let output = command.arg("--version").output().await.doing(|| "run dovecot --version".into())?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if found.starts_with(VERSION) { Ok(()) } else { Err(Error::DovecotVersion { found }) }
}

/// Names become file names, and lines of a password file.
fn check_name(name: &str) -> Result<()> {
    let is_bad = |c: char| c == '/' || c == ':' || c.is_control();
    if name.is_empty() || name.starts_with('.') || name.contains(is_bad) {
        return Err(Error::Name(name.into()));
    }
    Ok(())
}
