use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::settings::{ADMIN, ADMIN_PASSWORD};

/// The management endpoints of one process, asked with curl as an operator does.
#[derive(Debug, Clone)]
pub struct Management {
    url: String,
    certificate: Option<PathBuf>,
}

impl Management {
    /// At this address, `http://127.0.0.1:port` or with TLS.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), certificate: None }
    }

    /// Trusts this certificate and no other.
    #[must_use]
    pub fn trusting(mut self, certificate: PathBuf) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Status and body of the answer to somebody without credentials.
    pub async fn anonymous(&self, path: &str) -> Result<(u16, String)> {
        self.curl(path, &[]).await
    }

    /// The body of the answer to the admin.
    ///
    /// # Errors
    /// Another status than 200.
    pub async fn admin(&self, path: &str) -> Result<String> {
        let (status, body) = self.as_admin(path, &[]).await?;
        ensure!(status == 200, "{path} answered {status}: {body}");
        Ok(body)
    }

    /// Status and body of the answer to the admin, with further words for curl.
    pub async fn as_admin(&self, path: &str, words: &[&str]) -> Result<(u16, String)> {
        let credentials = format!("{ADMIN}:{ADMIN_PASSWORD}");
        self.curl(path, &[&["-u", &credentials], words].concat()).await
    }

    async fn curl(&self, path: &str, words: &[&str]) -> Result<(u16, String)> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", "-w", "\n%{http_code}"]).args(words);
        if let Some(certificate) = &self.certificate {
            command.arg("--cacert").arg(certificate);
        }
        let output =
            command.arg(format!("{}{path}", self.url)).kill_on_drop(true).output().await.context("curl")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{path}: {errors}");
        let text = String::from_utf8(output.stdout)?;
        let (body, status) = text.rsplit_once('\n').context("curl said no status")?;
        Ok((status.parse()?, body.to_owned()))
    }
}
