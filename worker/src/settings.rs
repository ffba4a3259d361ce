//! The worker's settings: which keys there are, what they default to, what they mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use dmf_shared::{
    config::{DataSource, Environment, Errors, LeaseTimes, Properties, Reader, Sources, Warning},
    crypto::KeyRing,
    domain::{command::Command, migration::Phase, retry::RetryPolicy},
    ops::telemetry::TelemetrySettings,
    queue,
    store::BackendState,
};
use secrecy::SecretString;

use crate::{heartbeat::Rhythm, process::RunAs};

/// Where the settings are when no file is named: the manual's path, then the working directory.
const CANDIDATES: [&str; 2] = ["/opt/open-xchange/dmf/worker/etc/dmf-worker.yml", "dmf-worker.yml"];

/// Names that the operator chooses keep their spelling.
const VERBATIM: [&str; 2] = ["dmf.doveadm.source.*", "dmf.doveadm.source.*.command.inject.**"];

/// Keys of the original's file that have no meaning here.
const WITHOUT_EFFECT: [&str; 7] = [
    "jackson.**",
    "liquibase.**",
    "endpoints.**",
    "datasources.default.dialect",
    "datasources.default.driver-class-name",
    "micronaut.**",
    "http.**",
];

const DAY: Duration = Duration::from_hours(24);

/// Everything that the worker is told from outside.
#[derive(Debug)]
pub struct Settings {
    /// Name of the target that it works for.
    pub target: String,
    /// Its own name, unique within the target.
    pub name: String,
    /// Most migrations at a time, unless the API says otherwise.
    pub threads: u32,
    /// How many of them are kept for priority migrations.
    pub reserved_for_priority: u32,
    /// What it does at its start, unless the API says otherwise.
    pub initial_state: BackendState,
    /// Where it keeps its identity and the records of its children.
    pub state_dir: PathBuf,
    /// How long running migrations may go on after SIGTERM.
    pub grace: Duration,
    /// Heartbeats and leases.
    pub rhythm: Rhythm,
    /// The sync command.
    pub sync: SyncSettings,
    /// Which counts are made.
    pub count: CountSettings,
    /// Commands before and after, by phase.
    pub hooks: HookSettings,
    /// doveadm.
    pub doveadm: DoveadmSettings,
    /// Settings by Source; `default` stands for every Source that is not named.
    pub sources: BTreeMap<String, SourceSettings>,
    /// Keys that open users' passwords.
    pub keys: KeyRing,
    /// MariaDB.
    pub database: DataSource,
    /// Redis.
    pub queue: queue::Options,
    /// Logging.
    pub telemetry: TelemetrySettings,
}

/// `dmf.worker.sync`
#[derive(Debug, Clone, Copy)]
pub struct SyncSettings {
    /// Longest time of one migration.
    pub timeout: Duration,
    /// Longest time of one count.
    pub count_timeout: Duration,
    /// Retries of temporary failures.
    pub retry: RetryPolicy,
}

/// `dmf.worker.count`
#[derive(Debug, Clone, Copy)]
pub struct CountSettings {
    /// Counts the target's mailboxes before the sync.
    pub local_pre: bool,
    /// Counts them after it.
    pub local_post: bool,
    /// Counts the source's mailboxes.
    pub remote: bool,
}

/// `dmf.worker.hooks`
#[derive(Debug, Clone, Default)]
pub struct HookSettings {
    /// Of `PRE_SYNC`.
    pub pre_sync: PhaseHooks,
    /// Of CUTOVER.
    pub cutover: PhaseHooks,
    /// Longest time of one hook.
    pub timeout: Duration,
}

impl HookSettings {
    /// The hooks of a phase.
    pub const fn of(&self, phase: Phase) -> &PhaseHooks {
        match phase {
            Phase::PreSync => &self.pre_sync,
            Phase::Cutover => &self.cutover,
        }
    }
}

/// The commands of one phase.
#[derive(Debug, Clone, Default)]
pub struct PhaseHooks {
    /// Before all; when it fails, nothing else runs.
    pub pre: Option<Command>,
    /// After a success.
    pub post: Option<Command>,
    /// After any failure, and when a migration was cancelled or given up.
    pub failure: Option<Command>,
    /// Whether they get the user's password as `DMF_SOURCE_PASSWORD`.
    pub source_password: bool,
}

/// `dmf.doveadm`
#[derive(Debug, Clone)]
pub struct DoveadmSettings {
    /// The program.
    pub path: PathBuf,
    /// Dovecot's main configuration file.
    pub config: PathBuf,
    /// The user that doveadm runs as, by name, when the worker is root.
    pub user: Option<String>,
}

/// `dmf.doveadm.source.<source>`
#[derive(Debug, Clone, Default)]
pub struct SourceSettings {
    /// Name or address of the source server.
    pub imapc_host: Option<String>,
    /// Its port.
    pub imapc_port: Option<String>,
    /// The master user.
    pub imapc_master_user: Option<String>,
    /// The master password.
    pub imapc_master_password: Option<SecretString>,
    /// Folder prefix on the source.
    pub imapc_prefix: Option<String>,
    /// Replaces migrationCommand1 of the source hosts.
    pub migration1: Option<Command>,
    /// Replaces migrationCommand2.
    pub migration2: Option<Command>,
    /// Replaces statusCommand.
    pub status: Option<Command>,
    /// Further properties for `%{conf:…}`; they override all others.
    pub inject: BTreeMap<String, SecretString>,
}

impl Settings {
    /// Reads files and environment; either everything that is wrong or the settings with warnings.
    pub fn load(files: &[PathBuf], environment: Environment) -> Result<(Self, Vec<Warning>), Errors> {
        let sources = Sources::default().files(files).candidates(CANDIDATES).verbatim(&VERBATIM);
        Self::read(&sources.load(environment)?)
    }

    /// Reads settings from properties that are loaded already.
    pub fn read(properties: &Properties) -> Result<(Self, Vec<Warning>), Errors> {
        let mut reader = Reader::new(properties);
        for pattern in WITHOUT_EFFECT {
            reader.accept(pattern);
        }
        let reader = &mut reader;
        let threads = reader.number("dmf.worker.threads.max", 10, 1..=10_000);
        let database = DataSource::read(reader, "datasources.default");
        let settings = Self {
            target: reader.string_or("dmf.worker.identity.target", "default"),
            name: name(reader),
            threads,
            reserved_for_priority: reader.number(
                "dmf.worker.threads.reserved-for-priority",
                0,
                0..=threads.saturating_sub(1),
            ),
            initial_state: reader.choice(
                "dmf.worker.initial-state",
                &[("RUNNING", BackendState::Running), ("PAUSED", BackendState::Paused)],
                BackendState::Running,
            ),
            state_dir: reader
                .path("dmf.worker.state-dir")
                .unwrap_or_else(|| PathBuf::from("/var/lib/dmf-worker")),
            grace: reader.duration("dmf.worker.shutdown.grace", Duration::from_mins(1), Duration::ZERO..=DAY),
            rhythm: rhythm(reader),
            sync: sync(reader),
            count: CountSettings {
                local_pre: reader.bool("dmf.worker.count.local-pre.enabled", true),
                local_post: reader.bool("dmf.worker.count.local-post.enabled", true),
                remote: reader.bool("dmf.worker.count.remote.enabled", true),
            },
            hooks: hooks(reader),
            doveadm: DoveadmSettings {
                path: reader.path("dmf.doveadm.path").unwrap_or_else(|| PathBuf::from("/usr/bin/doveadm")),
                config: reader
                    .path("dmf.doveadm.config")
                    .unwrap_or_else(|| PathBuf::from("/etc/dovecot/dovecot.conf")),
                user: reader.string("dmf.doveadm.user"),
            },
            sources: sources(reader),
            keys: KeyRing::read(reader),
            queue: queue::Options::read(reader),
            telemetry: TelemetrySettings::read(reader),
            // Replaced below: a missing data source is a fault that ends this.
            database: match database {
                Some(database) => database,
                None => return Err(faults(std::mem::replace(reader, Reader::new(properties)))),
            },
        };
        let warnings = std::mem::replace(reader, Reader::new(properties)).finish()?;
        Ok((settings, warnings))
    }

    /// The settings for a Source: its own, or else those of `default`.
    pub fn source(&self, name: &str) -> SourceSettings {
        self.sources.get(name).or_else(|| self.sources.get("default")).cloned().unwrap_or_default()
    }
}

fn faults(reader: Reader<'_>) -> Errors {
    reader.finish().err().unwrap_or(Errors(Vec::new()))
}

/// The name of this worker: configured, or else the machine's.
fn name(reader: &mut Reader<'_>) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = reader.string_or("dmf.worker.identity.name", &host.unwrap_or_default());
    if name.is_empty() || name.contains('/') {
        reader.reject("dmf.worker.identity.name", "must be a name without a slash");
    }
    name
}

fn rhythm(reader: &mut Reader<'_>) -> Rhythm {
    let times = LeaseTimes::read(reader);
    Rhythm {
        every: times.heartbeat,
        lease: times.deadline,
        timeout: times.heartbeat.mul_f64(0.8),
        claim_timeout: Duration::from_secs(20).min(times.deadline / 2),
    }
}

fn sync(reader: &mut Reader<'_>) -> SyncSettings {
    let secs = Duration::from_secs;
    let delay = reader.duration("dmf.worker.sync.retry.delay", secs(15), Duration::ZERO..=DAY);
    SyncSettings {
        timeout: reader.duration("dmf.worker.sync.timeout", DAY, secs(1)..=DAY * 30),
        count_timeout: reader.duration("dmf.worker.count.timeout", secs(3600), secs(1)..=DAY),
        retry: RetryPolicy {
            attempts: reader.number("dmf.worker.sync.retry.attempts", 5, 1..=1000),
            delay,
            max_delay: reader.duration("dmf.worker.sync.retry.max-delay", delay.mul_f64(1.1), delay..=DAY),
            jitter_percent: reader.number("dmf.worker.sync.retry.jitter", 10, 0..=100),
            factor: reader.number("dmf.worker.sync.retry.factor", 1, 1..=10),
        },
    }
}

fn hooks(reader: &mut Reader<'_>) -> HookSettings {
    let mut of = |phase: &str| {
        let key = |name: &str| format!("dmf.worker.hooks.{phase}.{name}");
        PhaseHooks {
            pre: command(reader, &key("pre")),
            post: command(reader, &key("post")),
            failure: command(reader, &key("failure")),
            source_password: reader.bool(&key("source-password"), false),
        }
    };
    let (pre_sync, cutover) = (of("pre-sync"), of("cutover"));
    let allowed = Duration::from_secs(1)..=DAY;
    HookSettings {
        pre_sync,
        cutover,
        timeout: reader.duration("dmf.worker.hooks.timeout", Duration::from_mins(5), allowed),
    }
}

fn sources(reader: &mut Reader<'_>) -> BTreeMap<String, SourceSettings> {
    let names: BTreeSet<String> = reader.names("dmf.doveadm.source").into_iter().collect();
    names
        .into_iter()
        .map(|name| {
            let key = |rest: &str| format!("dmf.doveadm.source.{name}.{rest}");
            let settings = SourceSettings {
                imapc_host: reader.string(&key("imapc.host")),
                imapc_port: reader.string(&key("imapc.port")),
                imapc_master_user: reader.string(&key("imapc.master-user")),
                imapc_master_password: reader.secret(&key("imapc.master-password")),
                imapc_prefix: reader.string(&key("imapc.prefix")),
                migration1: command(reader, &key("command.migration1")),
                migration2: command(reader, &key("command.migration2")),
                status: command(reader, &key("command.status")),
                inject: reader.secret_map(&key("command.inject")),
            };
            (name, settings)
        })
        .collect()
}

/// A command of the configuration; each of its faults is reported with its place.
fn command(reader: &mut Reader<'_>, key: &str) -> Option<Command> {
    let value: serde_json::Value = reader.deserialize(key)?;
    match Command::from_value(&value) {
        Ok(command) => Some(command),
        Err(faults) => {
            for fault in faults {
                reader.reject(key, &fault.to_string());
            }
            None
        }
    }
}

/// The numbers of the user that doveadm runs as. `None` when the worker is not root: then it runs as
/// the worker itself.
pub fn run_as(user: Option<&str>) -> Result<Option<RunAs>, String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let Some(name) = user else { return Ok(None) };
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok(Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
        Ok(None) => Err(format!("dmf.doveadm.user: there is no user {name}")),
        Err(error) => Err(format!("dmf.doveadm.user: {error}")),
    }
}
