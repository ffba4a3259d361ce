use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A line that a worker's hook wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// `pre`, `post` or `failure`.
    pub word: String,
    /// The user's name on the source.
    pub user: String,
    /// The epoch of the lease that it ran in.
    pub epoch: u64,
}

/// Hooks that write a line each when they run: who was locked out, let in, and set free again.
#[derive(Debug)]
pub struct HookLog {
    path: PathBuf,
}

impl HookLog {
    /// With its file in this directory, which is opened to everybody: hooks run as the mail user.
    pub fn create(dir: &Path) -> Result<Self> {
        let open = fs::create_dir_all(dir)
            .and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o777)));
        open.with_context(|| dir.display().to_string())?;
        Ok(Self { path: dir.join("hooks.log") })
    }

    /// Settings of the workers, for both phases.
    pub fn settings(&self) -> String {
        let command = |word: &str| {
            let script = format!("echo {word} $DMF_SOURCE_UID $DMF_EPOCH >> {}", self.path.display());
            format!("{{ name: /bin/sh, arguments: ['-c', '{script}'] }}")
        };
        let (pre, post, failure) = (command("pre"), command("post"), command("failure"));
        let of = |phase: &str| {
            format!("dmf.worker.hooks.{phase}:\n  pre: {pre}\n  post: {post}\n  failure: {failure}\n")
        };
        of("pre-sync") + &of("cutover")
    }

    /// Everything that was written, in its order.
    pub fn runs(&self) -> Vec<HookRun> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter_map(parse).collect()
    }

    /// What was written for a user.
    pub fn runs_of(&self, user: &str) -> Vec<HookRun> {
        self.runs().into_iter().filter(|run| run.user == user).collect()
    }
}

fn parse(line: &str) -> Option<HookRun> {
    let mut words = line.split(' ').map(str::to_owned);
    let (word, user, epoch) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    Some(HookRun { word, user, epoch })
}
