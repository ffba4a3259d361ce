//! `dmf-scheduler`: load the settings, build, serve, migrate the schema, drain.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use dmf_scheduler::{
    api::{crowding::Room, limits::RateLimits},
    app::{self, App},
    census,
    gen_certs::GenCerts,
    health, reaper, reconciler, relay, retention, rotate,
    schema::{self, Schema},
    settings::Settings,
    submitter::Submitter,
    summaries::Summaries,
};
use dmf_shared::{
    config::{self, Environment, ProgramSettings as _},
    ops::{
        Lifecycle, Metrics, Telemetry,
        http::{Readiness, Server},
        traces::TraceExport,
        watch_store,
    },
    queue::Queue,
    store::{self, Store},
};
use tokio::{sync::Notify, time::timeout};

/// REST API of the mailbox migration fleet: takes migrations, keeps their records, feeds the workers'
/// queue.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A settings file (YAML); may be given more than once, later files win.
    #[arg(long, value_name = "FILE", global = true)]
    config: Vec<PathBuf>,
    /// Prints the settings that count, and where each came from, and ends: with 78 if anything is wrong.
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Without a command the scheduler runs.
#[derive(Debug, Subcommand)]
enum Command {
    GenCerts(GenCerts),
    /// Keys that seal users' passwords.
    Crypto {
        #[command(subcommand)]
        command: CryptoCommand,
    },
}

#[derive(Debug, Subcommand)]
enum CryptoCommand {
    /// Seals every user's password again with the first key of the configuration, while everything runs.
    ///
    /// To replace a key: put the new one first in dmf.crypto.storage-keys of every scheduler and worker, keep
    /// the old one behind it, restart them, run this, then take the old one out. It may be run again at any
    /// time, and by several at once. The exit code is 1 when a password could not be opened with any of the
    /// configured keys; standard error names its Source and user.
    Rotate,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::GenCerts(tool)) = &arguments.command {
        return make_certificates(tool);
    }
    if arguments.check_config {
        return config::answer(Settings::check(&arguments.config, Environment::from_process()));
    }
    let (settings, warnings) = match Settings::load(&arguments.config, Environment::from_process()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            // Logging is not set up: it is told by the settings that are wrong.
            let _ = writeln!(std::io::stderr(), "{errors}");
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    let done = Telemetry::install(settings.telemetry.clone(), Vec::new())
        .map_err(anyhow::Error::from)
        .and_then(|telemetry| {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            match &arguments.command {
                None => {
                    // Before the runtime begins, and until it has ended.
                    let properties = [("service.version", env!("CARGO_PKG_VERSION").to_owned())];
                    let _traces =
                        TraceExport::install(settings.traces.as_ref(), "dmf-scheduler", &properties)?;
                    run(&settings, telemetry)
                }
                // It needs no settings, and has ended above.
                Some(Command::GenCerts(_)) => Ok(ExitCode::SUCCESS),
                Some(Command::Crypto { command: CryptoCommand::Rotate }) => rotate_keys(&settings),
            }
        });
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Says which files were made, or what is wrong.
fn make_certificates(tool: &GenCerts) -> ExitCode {
    match tool.run() {
        Ok(made) => {
            for path in made {
                let _ = writeln!(std::io::stdout(), "{}", path.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: &Settings, telemetry: Telemetry) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::new();
    lifecycle.watch_signals().context("signals")?;
    // The port is bound first, so that a second instance on it fails before it touches anything.
    let address = settings.listen.address;
    let server = Server::bind(&settings.listen).await.with_context(|| address.to_string())?;
    let listen = settings.listen.clone();
    lifecycle.watch_hangup(move || listen.reload()).context("signals")?;
    let options = store::Options::from(&settings.database);
    let (store, schema) = (Store::connect_lazily(&options), Schema::default());
    let queue = Queue::connect_lazily(&settings.queue)?;
    watch_stores(&lifecycle, &store, &queue);
    let wake = Arc::new(Notify::new());
    let metrics = telemetry.metrics().clone();
    let readiness = Readiness::new(lifecycle.soft().clone());
    let app = App {
        access: Arc::new(settings.access.clone()),
        management: health::management(settings, &store, &schema, &queue, readiness.clone(), Some(telemetry)),
        submitter: Arc::new(Submitter::new(store.clone(), wake.clone())),
        summaries: Arc::new(Summaries::new(store.clone())),
        store: store.clone(),
        schema: schema.clone(),
        silence: settings.reaper.silence,
        queue: queue.clone(),
        keys: Arc::new(settings.keys.clone()),
        admin: settings.admin.clone().map(Arc::new),
        api_key_header: settings.api_key_header.clone(),
        ignore_unknown_fields: settings.ignore_unknown_fields,
        versioning: Arc::new(settings.versioning.clone()),
        limits: Arc::new(RateLimits::new(settings.rate_limits)),
        room: Arc::new(Room::new(settings.room)),
        trusted_proxies: Arc::new(settings.trusted_proxies.clone()),
        relay: wake.clone(),
        pages: Arc::new(settings.pages.clone()),
    };
    lifecycle.spawn("redis policy", queue.clone().check_policy(lifecycle.soft().clone()));
    lifecycle.spawn("redis sentinel", queue.clone().follow_master(lifecycle.soft().clone()));
    let (life, duties) = (lifecycle.clone(), store.clone());
    let (reaper, sweeping) = (settings.reaper, settings.retention);
    lifecycle.spawn("schema", async move {
        match schema.bring_up(&duties, &options, life.soft()).await {
            Ok(true) => {
                start_duties(&life, &duties, &queue, (reaper, sweeping), wake, metrics);
                readiness.set();
            }
            Ok(false) => {}
            Err(error) => {
                life.fail(&format!("{:#}", anyhow::Error::new(error).context("the database schema")));
            }
        }
    });
    lifecycle.spawn("http", server.serve(app::router(app), lifecycle.clone()));
    tracing::info!(%address, tls = settings.listen.certificates.is_some(), version = env!("CARGO_PKG_VERSION"), "the scheduler is ready");
    lifecycle.notify_ready();
    let ending = lifecycle.run(settings.grace).await;
    if timeout(CLOSE_LIMIT, store.close()).await.is_err() {
        tracing::warn!("connections to the database did not close in time");
    }
    tracing::info!(?ending, "the scheduler has stopped");
    Ok(ending.exit_code())
}

/// How long connections to the database may take to close at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What runs beside the API, once the schema is there.
fn start_duties(
    lifecycle: &Lifecycle,
    store: &Store,
    queue: &Queue,
    (reaper, sweeping): (reaper::Settings, retention::Settings),
    wake: Arc<Notify>,
    metrics: Metrics,
) {
    let stop = || lifecycle.soft().clone();
    lifecycle.spawn("relay", relay::run(store.clone(), queue.clone(), wake.clone(), stop()));
    lifecycle.spawn("reaper", reaper::run(store.clone(), queue.clone(), reaper, wake, stop()));
    lifecycle.spawn("reconciler", reconciler::run(store.clone(), queue.clone(), stop()));
    lifecycle.spawn("retention", retention::run(store.clone(), queue.clone(), sweeping, stop()));
    lifecycle.spawn("census", census::run(store.clone(), queue.clone(), metrics, stop()));
    lifecycle.spawn("tables of Sources", schema::keep_up(store.clone(), stop()));
}

/// Shows whether the stores answer, from the start.
fn watch_stores(lifecycle: &Lifecycle, store: &Store, queue: &Queue) {
    let (store, queue) = (store.clone(), queue.clone());
    let stop = || lifecycle.soft().clone();
    lifecycle.spawn("mariadb", watch_store("mariadb", async move || store.version().await.is_ok(), stop()));
    lifecycle.spawn("redis", watch_store("redis", async move || queue.is_built().await.is_ok(), stop()));
}

/// Seals all users' passwords with the first key; what it does is told on standard error.
#[tokio::main]
async fn rotate_keys(settings: &Settings) -> anyhow::Result<ExitCode> {
    let store = Store::connect_lazily(&store::Options::from(&settings.database));
    let tell = |line: String| {
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    let outcome = rotate::rotate(&store, &settings.keys, tell).await?;
    tell(outcome.to_string());
    Ok(if outcome.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
