//! Tools for operators: the very code that migrations use, without running anything.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use dmf_shared::{
    config::{Environment, Sources},
    domain::{
        command::Command,
        command_rules::Origin,
        ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId, UserId},
        migration::Phase,
        user::{ImapcSsl, User},
    },
    store::{Claimed, NewSourcehost, Source, Sourcehost},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    doveadm::{
        argv::DoveadmSetup,
        classify::{RunEnd, RunKind},
        judge::{JudgeInput, Judgement, judge},
        mail_log::StderrReader,
        version::Version,
    },
    migration::plan::Planner,
    settings::CommandSettings,
};

/// What can be asked besides running the worker.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Look at commands without running them.
    #[command(subcommand)]
    Command(CommandTool),
    /// Say what the worker would make of the end of a doveadm run, as one JSON object.
    Judge(JudgeArguments),
}

/// Tools about commands.
#[derive(Debug, Subcommand)]
pub enum CommandTool {
    /// Print the argv that would run for a user, one item a line, secrets hidden; or every fault.
    Render(RenderArguments),
}

/// What is rendered.
#[derive(Debug, Args)]
pub struct RenderArguments {
    /// The command, as JSON or YAML.
    #[arg(long, value_name = "FILE")]
    command: PathBuf,
    /// The user: a JSON or YAML object with the fields of a submit, `source` besides.
    #[arg(long, value_name = "FILE")]
    user: PathBuf,
    /// The version of Dovecot to write for.
    #[arg(long, value_name = "VERSION", default_value = "2.3.19.1")]
    dovecot_version: Version,
}

/// How a run ended.
#[derive(Debug, Args)]
pub struct JudgeArguments {
    /// The exit code; above 128 it is read as the signal behind it.
    #[arg(long, value_name = "N", required_unless_present = "signal", conflicts_with = "signal")]
    exit: Option<i32>,
    /// The signal that ended it.
    #[arg(long, value_name = "N")]
    signal: Option<i32>,
    /// What it wrote to standard error.
    #[arg(long, value_name = "FILE")]
    stderr: PathBuf,
    /// What it wrote to standard output: given for a count.
    #[arg(long, value_name = "FILE")]
    stdout: Option<PathBuf>,
    /// The phase of the migration: `PRE_SYNC` or CUTOVER.
    #[arg(long, value_parser = parse_phase)]
    phase: Option<Phase>,
    /// Whether a master user logged in.
    #[arg(long)]
    master_user: bool,
}

fn parse_phase(text: &str) -> Result<Phase, String> {
    Phase::parse(text).ok_or_else(|| "must be PRE_SYNC or CUTOVER".to_owned())
}

/// Why a tool gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Everything that is against a command, one line each.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// A JSON file, or a YAML one with the texts as they stand.
fn read_value(path: &Path) -> Result<Value, Error> {
    let content = |message: String| Error::Content { path: path.to_owned(), message };
    let text = String::from_utf8(read(path)?).map_err(|error| content(error.to_string()))?;
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(value);
    }
    // Below a key of its own, so that it is read by the same rules as a command in the configuration.
    let nested = text.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>();
    let sources = Sources::default().verbatim(&["value.**"]);
    let environment = Environment::from_variables([("", ""); 0]);
    let properties = sources.load_text(&format!("value:\n{nested}"), environment);
    let properties = properties.map_err(|errors| content(errors.to_string()))?;
    properties.value("value").ok_or_else(|| content("is neither JSON nor YAML".to_owned()))
}

/// The judgement over a run, from its files.
pub fn judge_files(arguments: &JudgeArguments) -> Result<Judgement, Error> {
    let mut reader = StderrReader::new();
    reader.feed(&read(&arguments.stderr)?);
    let stdout = arguments.stdout.as_deref().map(read).transpose()?;
    let end = match (arguments.signal, arguments.exit) {
        (Some(signal), _) => RunEnd::Signal(signal),
        (None, code) => RunEnd::of_code(code.unwrap_or(0)),
    };
    let stderr = reader.finish();
    let kind = kind_of(stdout.as_deref(), stderr.evidence().is_connected());
    Ok(judge(JudgeInput {
        end,
        stderr: &stderr,
        stdout: stdout.as_deref().unwrap_or_default(),
        kind,
        success_code: 0,
        phase: arguments.phase,
        master_user: arguments.master_user,
    }))
}

/// What ran, told from what it left: only a count writes to standard output, and whatever reaches the source says
/// so on standard error. A count of no mailbox at all may write nothing.
fn kind_of(stdout: Option<&[u8]>, is_connected: bool) -> RunKind {
    match stdout {
        None => RunKind::Sync,
        Some([]) if is_connected => RunKind::Sync,
        Some([]) => RunKind::LocalCount,
        Some(_) if is_connected => RunKind::RemoteCount,
        Some(_) => RunKind::LocalCount,
    }
}

/// A user as a file describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserFile {
    #[serde(default)]
    source: Option<String>,
    source_uid: String,
    target_uid: String,
    #[serde(default)]
    sourcehost: String,
    #[serde(default)]
    sourceport: Option<u16>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    password: Option<secrecy::SecretString>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    imapc_options: Vec<String>,
    #[serde(default)]
    use_imapc_ssl: Option<ImapcSsl>,
    #[serde(default)]
    exclude_folders: Vec<String>,
}

/// The argv of a command for a user, secrets hidden.
pub fn render(arguments: &RenderArguments, settings: &CommandSettings) -> Result<Vec<String>, Error> {
    let setup = DoveadmSetup {
        program: settings.doveadm.path.display().to_string(),
        config: Some(settings.doveadm.config.display().to_string()),
        version: arguments.dovecot_version.clone(),
        config_version: None,
        mail_plugins: String::new(),
        count_mails: true,
        imapc_options: settings.doveadm.allow.imapc_options.clone(),
    };
    let refused = |faults: Vec<dmf_shared::domain::command::Fault>| {
        Error::Refused(faults.iter().map(ToString::to_string).collect())
    };
    let command = Command::from_value(&read_value(&arguments.command)?).map_err(refused)?;
    let user: UserFile = serde_json::from_value(read_value(&arguments.user)?)
        .map_err(|error| Error::Content { path: arguments.user.clone(), message: error.to_string() })?;
    let password = user.password.clone();
    let claimed = claimed(user, &arguments.user)?;
    let invocation = Planner::new(settings, &setup, &claimed)
        .map(|planner| planner.with_password(password))
        .and_then(|planner| planner.build(&command, Origin::Api))
        .map_err(|refused| Error::Refused(refused.faults().to_vec()))?;
    Ok(invocation.shown().to_vec())
}

/// The migration that the file's user would have.
fn claimed(user: UserFile, path: &Path) -> Result<Claimed, Error> {
    let name = user
        .source
        .as_deref()
        .unwrap_or("default")
        .parse()
        .map_err(|error| Error::Content { path: path.to_owned(), message: format!("source: {error}") })?;
    let source = Source { id: SourceId(0), name, paused: false };
    let definition = NewSourcehost {
        name: user.sourcehost,
        port: None,
        max_connections: 1,
        reserved_for_priority: 0,
        migration_command1: Command::named("ignore"),
        migration_command2: None,
        status_command: None,
    };
    let host = Sourcehost {
        id: HostId(0),
        source: source.id,
        definition,
        paused: false,
        suspended_until: None,
        suspended_reason: None,
    };
    let user = User {
        id: UserId(0),
        source_uid: user.source_uid,
        target_uid: user.target_uid,
        target: TargetId(0),
        sourcehost: host.id,
        sourceport: user.sourceport,
        email: user.email,
        password: None,
        container: user.container,
        imapc_options: user.imapc_options,
        use_imapc_ssl: user.use_imapc_ssl,
        exclude_folders: user.exclude_folders,
    };
    Ok(Claimed {
        job: JobId { source: source.id, journal: JournalId(0) },
        epoch: Epoch(0),
        source,
        user,
        host,
        phase: Phase::PreSync,
        priority: false,
        forced: false,
        attempt: 0,
        losses: 0,
        pre_started: false,
        post_started: false,
        cleanup: None,
        loss_blocks: Vec::new(),
        age_ms: 0,
        waited_ms: 0,
    })
}
