//! The doveadm of this machine: its version and what its configuration says, asked once at start.

use std::{path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    doveadm::{
        argv::DoveadmSetup,
        version::{UnknownVersion, Version},
    },
    process::{self, Deadline, EnvVar, LeaseClock, Limits, Spec, Supervisor},
    settings::DoveadmSettings,
};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why doveadm can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program can't be run.
    #[error("{program} can't be run")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: process::Error,
    },
    /// It does not say its version.
    #[error("the version of Dovecot is not known")]
    Version(#[from] UnknownVersion),
    /// The configuration can't be read.
    #[error("doveconf can't read {config}: {message}")]
    Configuration {
        /// Dovecot's main configuration file.
        config: String,
        /// What doveconf said.
        message: String,
    },
}

/// Asks `doveconf`, which lies beside doveadm, for version and plugins.
pub(super) async fn setup(
    supervisor: &Supervisor,
    settings: &DoveadmSettings,
) -> Result<DoveadmSetup, Error> {
    let doveconf = settings.path.with_file_name("doveconf");
    let config = settings.config.display().to_string();
    let version: Version = {
        // The first line is a comment with the version; doveadm of 2.3 has no option that prints it.
        let output = ask(supervisor, &doveconf, &["-c", &config, "-n"]).await?;
        match output.parse() {
            Ok(version) => version,
            Err(_) => ask(supervisor, &settings.path, &["--version"]).await?.parse()?,
        }
    };
    let mail_plugins = ask(supervisor, &doveconf, &["-c", &config, "-h", "mail_plugins"]).await?;
    let config_version = match version.dialect() {
        crate::doveadm::version::Dialect::V23 => None,
        crate::doveadm::version::Dialect::V24 => {
            let text = ask(supervisor, &doveconf, &["-c", &config, "-h", "dovecot_config_version"]).await?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        }
    };
    Ok(DoveadmSetup {
        program: settings.path.display().to_string(),
        config: Some(config),
        version,
        config_version,
        mail_plugins,
        count_mails: true,
        imapc_options: settings.allow.imapc_options.clone(),
    })
}

async fn ask(supervisor: &Supervisor, program: &Path, args: &[&str]) -> Result<String, Error> {
    let (_held, clock) = LeaseClock::channel(Deadline::after(TIMEOUT * 2));
    let spec = Spec {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![EnvVar::new("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())],
        ..Spec::new("probe", program)
    };
    let limits = Limits::new(clock, TIMEOUT, CancellationToken::new());
    let name = program.display().to_string();
    let finished = supervisor
        .run(spec, limits, &mut |_| {})
        .await
        .map_err(|source| Error::Run { program: name.clone(), source })?;
    let output = String::from_utf8_lossy(&finished.stdout).into_owned();
    if finished.exit == process::Exit::Code(0) {
        Ok(output)
    } else {
        let message = String::from_utf8_lossy(&finished.stderr_tail).trim().to_owned();
        Err(Error::Configuration {
            config: args.join(" "),
            message: if message.is_empty() { name } else { message },
        })
    }
}
