//! `dmf-scheduler`: load the settings, connect, migrate the schema, build, serve, drain.

use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use dmf_scheduler::{
    api::limits::RateLimits,
    app::{self, App},
    health, reaper, reconciler, relay,
    settings::Settings,
};
use dmf_shared::{
    config::{self, Environment},
    ops::{Lifecycle, Telemetry, http::Server},
    queue::Queue,
    store::{self, Store},
};
use tokio::sync::Notify;

/// REST API of the mailbox migration fleet: takes migrations, keeps their records, feeds the workers'
/// queue.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A settings file (YAML); may be given more than once, later files win.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
        .and_then(|_| {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            run(&settings)
        });
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::new();
    lifecycle.watch_signals().context("signals")?;
    // The port is bound first, so that a second instance on it fails before it touches anything.
    let address = settings.listen.address;
    let server = Server::bind(&settings.listen).await.with_context(|| address.to_string())?;
    let listen = settings.listen.clone();
    lifecycle.watch_hangup(move || listen.reload()).context("signals")?;
    let store = connect(settings, &lifecycle).await?;
    let queue = Queue::connect_lazily(&settings.queue)?;
    let wake = Arc::new(Notify::new());
    let app = App {
        health: health::indicators(settings, &store, &queue),
        store: store.clone(),
        queue: queue.clone(),
        keys: Arc::new(settings.keys.clone()),
        admin: settings.admin.clone().map(Arc::new),
        api_key_header: settings.api_key_header.clone(),
        ignore_unknown_fields: settings.ignore_unknown_fields,
        versioning: Arc::new(settings.versioning.clone()),
        limits: Arc::new(RateLimits::new(settings.rate_limits)),
        trusted_proxies: Arc::new(settings.trusted_proxies.clone()),
        relay: wake.clone(),
    };
    let stop = || lifecycle.soft().clone();
    lifecycle.spawn("relay", relay::run(store.clone(), queue.clone(), wake.clone(), stop()));
    lifecycle.spawn("reaper", reaper::run(store.clone(), queue.clone(), settings.reaper, wake, stop()));
    lifecycle.spawn("reconciler", reconciler::run(store.clone(), queue, stop()));
    lifecycle.spawn("http", server.serve(app::router(app), lifecycle.clone()));
    tracing::info!(%address, tls = settings.listen.certificates.is_some(), version = env!("CARGO_PKG_VERSION"), "the scheduler is ready");
    lifecycle.notify_ready();
    let ending = lifecycle.run(settings.grace).await;
    store.close().await;
    tracing::info!(?ending, "the scheduler has stopped");
    Ok(ending.exit_code())
}

/// How long to wait for the database before it is asked again.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Connects and brings the schema up to date; while MariaDB is away it waits, until told to stop.
async fn connect(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<Store> {
    let options = store::Options::from(&settings.database);
    let store = Store::connect_lazily(&options);
    loop {
        let migrate = async {
            Store::create_database(&options).await?;
            store.migrate().await
        };
        match migrate.await {
            Ok(()) => return Ok(store),
            Err(error) if error.is_transient() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
            }
            Err(error) => return Err(error).context("the database schema"),
        }
        tokio::select! {
            () = tokio::time::sleep(DATABASE_PAUSE) => {}
            () = lifecycle.soft().cancelled() => anyhow::bail!("stopped while waiting for the database"),
        }
    }
}
