//! The doveadm of this machine: its version and what its configuration says, asked once at start.

use std::{path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    doveadm::{
        argv::DoveadmSetup,
        version::{UnknownVersion, Version},
    },
    process::{self, Deadline, EnvVar, GuardProgram, LeaseClock, Limits, Spec, Supervisor},
    settings::DoveadmSettings,
};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a question is asked whose program is killed, and the pause between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

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
        config: settings.config_option(),
        version,
        config_version,
        mail_plugins,
        mail_log: settings.mail_log,
        imapc_options: settings.allow.imapc_options.clone(),
    })
}

/// What costs much and is easily mended in Dovecot's configuration; commands may set it too, so that it is said and
/// not changed.
pub(super) async fn advice(
    supervisor: &Supervisor,
    settings: &DoveadmSettings,
) -> Result<Vec<String>, Error> {
    let doveconf = settings.path.with_file_name("doveconf");
    let config = settings.config.display().to_string();
    let features = ask(supervisor, &doveconf, &["-c", &config, "-h", "imapc_features"]).await?;
    let prefetch = ask(supervisor, &doveconf, &["-c", &config, "-h", "mail_prefetch_count"]).await?;
    Ok(advise(&features, &prefetch))
}

fn advise(features: &str, prefetch: &str) -> Vec<String> {
    let mut advice = Vec::new();
    for (feature, cost) in [
        ("rfc822.size", "a count of the source fetches each body"),
        ("fetch-headers", "headers are fetched with their bodies"),
    ] {
        let has = features.split_whitespace().any(|word| word == feature);
        if !has {
            advice.push(format!("imapc_features has no {feature} in Dovecot's configuration: {cost}, unless the commands set it"));
        }
    }
    if prefetch.trim() == "0" {
        let message = "mail_prefetch_count is 0 in Dovecot's configuration: mails are fetched one by one, unless the commands set it";
        advice.push(message.to_owned());
    }
    advice
}

/// The same as [`setup`], for a tool: with a place of its own for the records of its children.
pub async fn setup_for_tool(settings: &DoveadmSettings, state_dir: &Path) -> Result<DoveadmSetup, Error> {
    let supervisor = Supervisor::new(GuardProgram::own(), state_dir)
        .map_err(|source| Error::Run { program: settings.path.display().to_string(), source })?;
    setup(&supervisor, settings).await
}

/// Asks again when the program was killed or its guard lost: that says nothing about the configuration.
async fn ask(supervisor: &Supervisor, program: &Path, args: &[&str]) -> Result<String, Error> {
    let mut tried = 1;
    loop {
        let answer = ask_once(supervisor, program, args).await;
        let may_pass = match &answer {
            Ok(finished) => matches!(finished.exit, process::Exit::Signal { .. }),
            Err(error) => matches!(error, process::Error::GuardLost),
        };
        if !may_pass || tried == ATTEMPTS {
            let finished =
                answer.map_err(|source| Error::Run { program: program.display().to_string(), source })?;
            return read(program, args, &finished);
        }
        tracing::warn!(program = %program.display(), tried, "killed before it answered, asking again");
        tokio::time::sleep(PAUSE).await;
        tried += 1;
    }
}

async fn ask_once(
    supervisor: &Supervisor,
    program: &Path,
    args: &[&str],
) -> Result<process::Finished, process::Error> {
    let (_held, clock) = LeaseClock::channel(Deadline::after(TIMEOUT * 2));
    let spec = Spec {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![EnvVar::new("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())],
        ..Spec::new("probe", program)
    };
    let limits = Limits::new(clock, TIMEOUT, CancellationToken::new());
    supervisor.run(spec, limits, &mut |_| {}).await
}

fn read(program: &Path, args: &[&str], finished: &process::Finished) -> Result<String, Error> {
    let stderr = String::from_utf8_lossy(&finished.stderr_tail).trim().to_owned();
    let message = match finished.exit {
        process::Exit::Code(0) => return Ok(String::from_utf8_lossy(&finished.stdout).into_owned()),
        process::Exit::Code(_) if !stderr.is_empty() => stderr,
        process::Exit::Code(code) => format!("{} ended with {code}", program.display()),
        process::Exit::Signal { signal, .. } => {
            format!("{} was killed by signal {signal} {ATTEMPTS} times", program.display())
        }
    };
    Err(Error::Configuration { config: args.join(" "), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advises_on_what_costs_much() {
        assert_eq!(advise("", "0\n").len(), 3);
        assert_eq!(advise("rfc822.size fetch-headers\n", "20\n"), Vec::<String>::new());
        assert_eq!(advise("rfc822.size = yes\nfetch-headers = yes\n", "100"), Vec::<String>::new());
        assert!(advise("rfc822.size", "20")[0].contains("fetch-headers"));
    }
}
