//! Programs that run beside the fleet as whoever owns the mail.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use dmf_lab::Lab;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::process::Command;

/// Longest time of one measurement.
const LIMIT: Duration = Duration::from_mins(30);
/// What the worker gives its children, too.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Runs programs, in a directory that is theirs.
#[derive(Debug)]
pub(super) struct Shell {
    dir: PathBuf,
    /// User and group, where those of this process own no mail.
    ids: Option<(u32, u32)>,
}

impl Shell {
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        let ids = match lab.target().mail_user() {
            Some(name) => {
                let user = User::from_name(name)?.with_context(|| format!("there is no user {name}"))?;
                Some((user.uid.as_raw(), user.gid.as_raw()))
            }
            None => None,
        };
        let shell = Self { dir: lab.dir().join("bare"), ids };
        shell.make_directory("")?;
        Ok(shell)
    }

    /// A directory that these programs own.
    pub(super) fn make_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        self.own(&path)?;
        Ok(path)
    }

    /// A file that these programs alone read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, "").with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        self.own(&path)?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            chown(path, Some(uid), Some(gid)).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// How long a program takes.
    ///
    /// # Errors
    /// It fails, or takes too long; then all that it started is killed.
    pub(super) async fn time(&self, lab: &Lab, program: &str, arguments: &[&str]) -> Result<Duration> {
        let log = self.write("errors.log", "")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            // mbsync does not start without one.
            .env("HOME", &self.dir)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .process_group(0);
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("start {program}"))?;
        let group = i32::try_from(child.id().context("it has ended")?)?;
        lab.guard(group)?;
        let ended = tokio::time::timeout(LIMIT, child.wait()).await;
        let took = begun.elapsed();
        if ended.is_err() {
            killpg(Pid::from_raw(group), Signal::SIGKILL)?;
            child.wait().await?;
        }
        lab.release(group);
        let Ok(status) = ended else { bail!("{program} did not end in {} s", LIMIT.as_secs()) };
        let status = status?;
        let errors = fs::read_to_string(&log).unwrap_or_default();
        ensure!(status.success(), "{program} {} ended with {status}: {errors}", arguments.join(" "));
        Ok(took)
    }
}
