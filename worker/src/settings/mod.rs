//! The worker's settings: which keys there are, what they default to, what they mean.

mod command;
mod command_log;
mod doveadm;
mod hooks;
mod policies;
mod suspend;
mod sync;

use std::{path::PathBuf, sync::Arc, time::Duration};

use dmf_shared::{
    config::{DataSource, LeaseTimes, ProgramSettings, Reader, Sources},
    domain::{
        command::Command,
        command_rules::{self, Origin, Stage},
        inject::CommandTemplate,
    },
    ops::{telemetry::TelemetrySettings, traces::TraceSettings},
    queue,
    store::BackendState,
};

pub use command::CommandSettings;
pub use command_log::{CommandLogSettings, PROPERTIES};
pub use doveadm::{Allowances, DoveadmSettings, SourceSettings};
pub use hooks::{HookSettings, PhaseHooks};
pub use policies::PolicySettings;
pub use suspend::SuspendSettings;
pub use sync::{CountSettings, SyncSettings, Verification};

use crate::{heartbeat::Rhythm, http::HttpSettings};

/// Where the settings are when no file is named: the manual's path, then the working directory.
const CANDIDATES: [&str; 2] = ["/opt/open-xchange/dmf/worker/etc/dmf-worker.yml", "dmf-worker.yml"];

/// Names that the operator chooses keep their spelling.
const VERBATIM: [&str; 4] = [
    "dmf.doveadm.source.*",
    "dmf.doveadm.source.*.command.inject.**",
    "dmf.worker.hooks.source.*",
    "logger.levels.**",
];

/// Keys of the original's file that have no meaning here.
const WITHOUT_EFFECT: [&str; 14] = [
    "jackson.**",
    "liquibase.**",
    "endpoints.liquibase.**",
    "datasources.default.dialect",
    "datasources.default.driver-class-name",
    "micronaut.router.**",
    "micronaut.server.multipart.**",
    "micronaut.metrics.**",
    "micronaut.server.metrics.**",
    "micronaut.server.router.**",
    "micronaut.server.static-resources.**",
    // The schedulers' own.
    "dmf.retention.journal",
    "dmf.retention.details",
    "dmf.retention.audit",
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
    /// What follows from the outcomes of a sync.
    pub policies: PolicySettings,
    /// When a source host or this worker is given a rest.
    pub suspend: SuspendSettings,
    /// Where the output of commands is kept.
    pub command_log: CommandLogSettings,
    /// What commands are made of.
    pub command: CommandSettings,
    /// MariaDB.
    pub database: DataSource,
    /// Redis.
    pub queue: queue::Options,
    /// The management endpoints.
    pub http: Arc<HttpSettings>,
    /// Logging.
    pub telemetry: TelemetrySettings,
    /// Where traces go; none are exported otherwise.
    pub traces: Option<TraceSettings>,
}

impl ProgramSettings for Settings {
    fn sources(files: &[PathBuf]) -> Sources {
        sources(files)
    }

    fn of(reader: &mut Reader<'_>) -> Option<Self> {
        for pattern in WITHOUT_EFFECT {
            reader.accept(pattern);
        }
        let threads = reader.number("dmf.worker.threads.max", 10, 1..=10_000);
        let database = DataSource::read(reader, "datasources.default");
        let command = commands(reader);
        Some(Self {
            target: target(reader),
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
            state_dir: reader.path_or("dmf.worker.state-dir", "/var/lib/dmf-worker"),
            grace: reader.duration("dmf.worker.shutdown.grace", Duration::from_mins(1), Duration::ZERO..=DAY),
            rhythm: rhythm(reader),
            sync: SyncSettings::read(reader),
            count: CountSettings::read(reader),
            hooks: HookSettings::read(reader, &command),
            policies: PolicySettings::read(reader),
            suspend: SuspendSettings::read(reader),
            command_log: CommandLogSettings::read(reader),
            command,
            queue: queue::Options::read(reader),
            http: Arc::new(HttpSettings::read(reader)),
            telemetry: TelemetrySettings::read(reader),
            traces: TraceSettings::read(reader),
            database: database?,
        })
    }
}

/// Where the settings come from.
fn sources(files: &[PathBuf]) -> Sources {
    Sources::default().files(files).candidates(CANDIDATES).verbatim(&VERBATIM)
}

/// The target, by a name that the API would take.
fn target(reader: &mut Reader<'_>) -> String {
    let key = "dmf.worker.identity.target";
    let name = reader.string_or(key, "default");
    check_name(reader, key, &name, 64);
    name
}

/// The name of this worker: configured, or else the machine's.
fn name(reader: &mut Reader<'_>) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let key = "dmf.worker.identity.name";
    let name = reader.string_or(key, &host.unwrap_or_default());
    check_name(reader, key, &name, 255);
    name
}

/// Names stand in paths of the API and in command lines.
fn check_name(reader: &mut Reader<'_>, key: &str, name: &str, limit: usize) {
    let fits = (1..=limit).contains(&name.chars().count())
        && !name.contains(|c: char| c == '/' || c.is_control())
        && name.trim() == name
        && !name.starts_with('-');
    if !fits {
        let fault = format!(
            "must be 1 to {limit} characters, without slashes, control characters, spaces at its ends and a hyphen at \
             its beginning"
        );
        reader.reject(key, &fault);
    }
}

/// What commands are made of, for a worker that is to run them on this machine.
fn commands(reader: &mut Reader<'_>) -> CommandSettings {
    let settings = CommandSettings::read(reader);
    if let Err(fault) = settings.doveadm.run_as() {
        reader.reject("dmf.doveadm.user", &fault);
    }
    settings
}

fn rhythm(reader: &mut Reader<'_>) -> Rhythm {
    let times = LeaseTimes::read(reader);
    // The reaper's, who lives in the schedulers: a fleet may share its `dmf.lease`.
    reader.accept("dmf.lease.poll");
    Rhythm {
        every: times.heartbeat,
        lease: times.deadline,
        timeout: times.heartbeat.mul_f64(0.8),
        claim_timeout: Duration::from_secs(20).min(times.deadline / 2),
        max_losses: times.max_losses,
    }
}

/// A command of the configuration, held to the rules; each of its faults is reported with its place.
fn command(reader: &mut Reader<'_>, key: &str) -> Option<Command> {
    let value: serde_json::Value = reader.deserialize(key)?;
    let (command, faults) = match Command::from_value(&value) {
        Ok(command) => {
            // A reader of its own: these settings are read, and their faults told, elsewhere.
            let allow = Allowances::read(&mut Reader::new(reader.properties()));
            let compiled = CommandTemplate::compile(&command);
            let mut faults = compiled.as_ref().err().cloned().unwrap_or_default();
            faults.extend(command_rules::check(&command, &allow.rules(Origin::Worker), Stage::Template));
            for warning in compiled.iter().flat_map(|compiled| &compiled.warnings) {
                reader.warn(key, &warning.to_string());
            }
            (Some(command), faults)
        }
        Err(faults) => (None, faults),
    };
    for fault in &faults {
        reader.reject(key, &fault.to_string());
    }
    command.filter(|_| faults.is_empty())
}
