use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dmf_lab::{Lab, Port};

use crate::daemon::Daemon;
use crate::settings::write_private;

/// One more scheduler of a fleet, which is reached by HTTPS alone, with a certificate made as operators make it.
#[derive(Debug)]
pub struct SecureScheduler {
    daemon: Daemon,
    port: Port,
    certificate: PathBuf,
}

impl SecureScheduler {
    /// With the settings of another scheduler and TLS. Not started.
    pub(crate) fn beside(lab: &Arc<Lab>, other: &Daemon) -> Result<Self> {
        let certificates = lab.dir().join("certs");
        make_certificates(other.program(), &certificates)?;
        let password = fs::read_to_string(certificates.join("keystore.password"))?;
        let port = Port::reserve()?;
        let settings = format!(
            "{others}
---
micronaut.ssl:
  enabled: true
  port: {port}
  key-store:
    path: file:{keystore}
    type: PKCS12
    password: {password}
",
            others = fs::read_to_string(other.settings())?,
            port = port.number(),
            keystore = certificates.join("keystore.p12").display(),
        );
        let path = other.settings().with_file_name("scheduler-secure.yml");
        write_private(&path, settings.as_bytes())?;
        let daemon = Daemon::new(Arc::clone(lab), "scheduler-secure", other.program().to_owned(), path);
        Ok(Self { daemon, port, certificate: certificates.join("scheduler.pem") })
    }

    /// The process.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Host and port, as they stand in a URL.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// The certificate for clients, as PEM.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }
}

fn make_certificates(scheduler: &Path, directory: &Path) -> Result<()> {
    let made =
        Command::new(scheduler).arg("gen-certs").arg("-d").arg(directory).output().context("gen-certs")?;
    ensure!(made.status.success(), "gen-certs: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}
