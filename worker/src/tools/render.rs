//! `dmf-worker command render`: what would run for a user.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use dmf_shared::domain::{
    command::{Command, Fault},
    command_rules::Origin,
};

use super::{Error, read_value, user::UserFile};
use crate::{
    doveadm::{argv::DoveadmSetup, version::Version},
    migration::{plan::Planner, setup_for_tool},
    settings::CommandSettings,
};

/// What is rendered.
#[derive(Debug, Args)]
pub struct RenderArguments {
    /// The command, as JSON or YAML.
    #[arg(long, value_name = "FILE")]
    command: PathBuf,
    /// The user: a JSON or YAML object with the fields of a submit, `source` besides.
    #[arg(long, value_name = "FILE")]
    user: PathBuf,
    /// Where the command comes from: what the API may send is less than what the worker's configuration may hold.
    #[arg(long, value_enum, default_value_t = CameFrom::Api)]
    origin: CameFrom,
    /// The version of Dovecot to write for, instead of asking the doveadm of this machine.
    #[arg(long, visible_alias = "dovecot-version", value_name = "VERSION")]
    doveadm_version: Option<Version>,
    /// What `doveconf -h mail_plugins` says, instead of asking it.
    #[arg(long, value_name = "PLUGINS")]
    mail_plugins: Option<String>,
}

/// Where a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CameFrom {
    /// Sent over HTTP.
    Api,
    /// Written in the worker's configuration.
    Worker,
}

impl From<CameFrom> for Origin {
    fn from(from: CameFrom) -> Self {
        match from {
            CameFrom::Api => Self::Api,
            CameFrom::Worker => Self::Worker,
        }
    }
}

/// What is written for where no doveadm can be asked.
const USUAL_VERSION: &str = "2.3.19.1";

/// A command as it would run.
#[derive(Debug)]
pub struct Rendered {
    /// The items, the program first; each on one line, secrets hidden.
    pub lines: Vec<String>,
    /// What the operator should know besides.
    pub notes: Vec<String>,
}

/// Renders the command of the arguments for their user.
pub async fn render(arguments: &RenderArguments, settings: &CommandSettings) -> Result<Rendered, Error> {
    let refused = |faults: Vec<Fault>| Error::Refused(faults.iter().map(ToString::to_string).collect());
    let command = Command::from_value(&read_value(&arguments.command)?).map_err(refused)?;
    let origin = arguments.origin.into();
    if origin == Origin::Api && command.is_placeholder() {
        let message = format!(
            "{} is a placeholder, since it is a name and nothing else: the command in the worker's configuration runs instead (dmf.doveadm.source.<source>.command)",
            command.name
        );
        return Err(Error::Refused(vec![message]));
    }
    let content = |message: String| Error::Content { path: arguments.user.clone(), message };
    let user: UserFile =
        serde_json::from_value(read_value(&arguments.user)?).map_err(|error| content(error.to_string()))?;
    let password = user.password();
    let claimed = user.into_claimed().map_err(content)?;
    let mut notes = Vec::new();
    let setup = setup(arguments, settings, &mut notes).await;
    let invocation = Planner::new(settings, &setup, &claimed)
        .map(|planner| planner.with_password(password))
        .and_then(|planner| planner.build(&command, origin))
        .map_err(|refused| Error::Refused(refused.faults().to_vec()))?;
    Ok(Rendered { lines: invocation.shown().iter().map(|item| on_one_line(item)).collect(), notes })
}

/// The doveadm of this machine, as far as the arguments don't say what it is.
async fn setup(
    arguments: &RenderArguments,
    settings: &CommandSettings,
    notes: &mut Vec<String>,
) -> DoveadmSetup {
    let asked = match arguments.doveadm_version {
        Some(_) => None,
        None => ask(settings, notes).await,
    };
    let mut setup = asked.unwrap_or_else(|| DoveadmSetup {
        program: settings.doveadm.path.display().to_string(),
        config: settings.doveadm.config_option(),
        version: usual_version(),
        config_version: None,
        mail_plugins: String::new(),
        mail_log: settings.doveadm.mail_log,
        imapc_options: settings.doveadm.allow.imapc_options.clone(),
    });
    if let Some(version) = &arguments.doveadm_version {
        setup.version = version.clone();
    }
    if let Some(plugins) = &arguments.mail_plugins {
        setup.mail_plugins.clone_from(plugins);
    }
    setup
}

fn usual_version() -> Version {
    Version { major: 2, minor: 3, text: USUAL_VERSION.to_owned() }
}

/// Asks doveadm and doveconf as the worker does at its start; `None`, with a note, where that fails.
async fn ask(settings: &CommandSettings, notes: &mut Vec<String>) -> Option<DoveadmSetup> {
    let doveadm = &settings.doveadm;
    let failed = if doveadm.path.exists() {
        let records = match Records::create() {
            Ok(records) => records,
            Err(error) => {
                notes.push(format!("doveadm was not asked: {error}; written for {USUAL_VERSION}"));
                return None;
            }
        };
        match setup_for_tool(doveadm, &records.0).await {
            Ok(setup) => return Some(setup),
            Err(error) => format!("{:#}", anyhow::Error::from(error)),
        }
    } else {
        format!("there is no {}", doveadm.path.display())
    };
    notes.push(format!("doveadm was not asked: {failed}; written for {USUAL_VERSION}"));
    None
}

/// A private directory for the records of children, gone when dropped.
struct Records(PathBuf);

impl Records {
    fn create() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("dmf-worker-render-{}", uuid::Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all::<&Path>(self.0.as_ref()) {
            tracing::warn!(%error, path = %self.0.display(), "a directory can't be removed");
        }
    }
}

/// The item; where it holds line ends or other control characters these are escaped, and backslashes with them.
fn on_one_line(item: &str) -> String {
    if !item.contains(char::is_control) {
        return item.to_owned();
    }
    let mut line = String::with_capacity(item.len() + 2);
    for letter in item.chars() {
        match letter {
            '\\' => line.push_str("\\\\"),
            _ if letter.is_control() => line.extend(letter.escape_default()),
            _ => line.push(letter),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_one_line() {
        assert_eq!(on_one_line("a b\\c"), "a b\\c");
        assert_eq!(on_one_line("a\nb\\c\t"), "a\\nb\\\\c\\t");
    }
}
