//! The floor: the commands that a worker runs, from `xargs -P`.

use std::time::Duration;

use anyhow::Result;

use super::{commands::Commands, shell::Shell, stage::Stage};

const SCRIPT: &str = "commands.sh";
const USERS: &str = "users.txt";

/// Runs a script for each user, so many at a time.
#[derive(Debug)]
pub(super) struct Bare {
    shell: Shell,
    script: String,
}

impl Bare {
    /// The commands as a worker ran them.
    pub(super) fn new(stage: &Stage, commands: &Commands) -> Result<Self> {
        let shell = Shell::new(stage.lab())?;
        let secret = shell.write("secret.conf", &stage.secret())?;
        let script = shell.write(SCRIPT, &commands.script(&secret.display().to_string())?)?;
        Ok(Self { shell, script: script.display().to_string() })
    }

    /// How long it takes for all of these users.
    pub(super) async fn run(&self, stage: &Stage, users: &[String], at_a_time: usize) -> Result<Duration> {
        let list = self.shell.write(USERS, &format!("{}\n", users.join("\n")))?;
        let (at_a_time, list) = (at_a_time.to_string(), list.display().to_string());
        let arguments = ["-P", &at_a_time, "-n", "1", "-a", &list, "sh", &self.script];
        self.shell.time(stage.lab(), "xargs", &arguments).await
    }
}
