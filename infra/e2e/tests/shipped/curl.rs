//! Requests by the curl of this machine, as the manual has them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Requests to one process.
#[derive(Debug, Clone)]
pub(crate) struct Curl {
    /// Where `https://scheduler:8443` of the manual is.
    pub(crate) port: u16,
    /// The certificate that is believed.
    pub(crate) pem: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Curl {
    /// `curl ARGUMENTS https://scheduler:PORT/PATH`; fails where the certificate is not the one that is believed.
    pub(crate) fn get(&self, arguments: &[&str], path: &str) -> Result<Answer> {
        let port = self.port;
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--write-out", "\n%{http_code}", "--cacert"])
            .arg(&self.pem)
            .args(["--resolve", &format!("scheduler:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://scheduler:{port}{path}"))
            .output()
            .context("curl (see infra/install-packages)")?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = String::from_utf8(output.stdout)?;
        let (text, status) = output.rsplit_once('\n').context("curl told no status")?;
        Ok(Answer { status: status.parse()?, text: text.to_owned() })
    }
}
