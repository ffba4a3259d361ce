//! Command lines in a real shell, with the real curl.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Fleet, SecureScheduler};
use serde_json::Value;
use tokio::process::Command;

/// What a line printed.
pub(crate) struct Printed {
    /// The status of the answer.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) text: String,
}

impl Printed {
    /// The body, once the status is as expected.
    pub(crate) fn expect(&self, status: u16) -> Result<&str> {
        ensure!(self.status == status, "answered {} instead of {status}: {}", self.status, self.text);
        Ok(&self.text)
    }

    /// The same as JSON.
    pub(crate) fn json(&self, status: u16) -> Result<Value> {
        let text = self.expect(status)?;
        serde_json::from_str(text).with_context(|| text.to_owned())
    }
}

/// A shell in which curl trusts the scheduler's certificate and says the status of each answer: both by its
/// surroundings, so that the lines stay what they are.
pub(crate) struct Shell {
    home: PathBuf,
    certificate: PathBuf,
    names: Vec<(&'static str, String)>,
}

impl Shell {
    pub(crate) fn new(fleet: &Fleet, scheduler: &SecureScheduler, host: String, port: u16) -> Result<Self> {
        let home = fleet.lab().dir().join("curl");
        fs::create_dir(&home)?;
        fs::write(
            home.join(".curlrc"),
            "silent\nshow-error\nmax-time = 20\nwrite-out = \"\\n%{http_code}\"\n",
        )?;
        let names = vec![("@SCHEDULER", scheduler.authority()), ("@HOST", host), ("@PORT", port.to_string())];
        Ok(Self { home, certificate: scheduler.certificate().to_owned(), names })
    }

    /// Runs a line.
    ///
    /// # Errors
    /// curl got no answer.
    pub(crate) async fn run(&self, line: &str) -> Result<Printed> {
        let line = self.names.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
        let output = Command::new("sh")
            .arg("-c")
            .arg(&line)
            .env("CURL_HOME", &self.home)
            .env("CURL_CA_BUNDLE", &self.certificate)
            .kill_on_drop(true)
            .output()
            .await
            .context("sh")?;
        ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout)?;
        let (text, status) = printed.rsplit_once('\n').context("no status")?;
        Ok(Printed { status: status.parse()?, text: text.to_owned() })
    }
}
