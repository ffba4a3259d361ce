//! `dmf-worker`: load the settings, take the worker's place, lease and run migrations, drain.

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use dmf_shared::{
    batcher::Batcher,
    config::{self, Environment, ProgramSettings as _},
    domain::clock::Clock,
    ops::{
        Lifecycle, Telemetry,
        http::{Readiness, Server},
        traces::TraceExport,
    },
    queue::Queue,
    store::{self, Backend, Holder, Registration, Store},
};
use dmf_worker::{
    heartbeat::Heartbeat,
    held::Table,
    http::{self, HttpSettings, Watched},
    lessor::Claimant,
    migration::{Machine, Runner},
    process::guard,
    registration::{self, StateDir},
    retention,
    runtime::Runtime,
    settings::{CommandSettings, Settings},
    tools::{self, CommandTool, RenderArguments, Tool},
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// Moves mailboxes into the Dovecot of this machine: leases migrations, runs doveadm, records results.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A settings file (YAML); may be given more than once, later files win.
    #[arg(long, value_name = "FILE", global = true)]
    config: Vec<PathBuf>,
    /// Prints the settings that count, and where each came from, and ends: with 78 if anything is wrong.
    #[arg(long)]
    check_config: bool,
    /// Without one, the worker runs.
    #[command(subcommand)]
    tool: Option<Tool>,
}

fn main() -> ExitCode {
    // Before anything else, for tools and where `dmf-guard` is missing: guards are started for every child.
    if let Some(code) = guard::dispatch(std::env::args_os()) {
        return code;
    }
    let arguments = Arguments::parse();
    if let Some(Tool::Judge(judge)) = &arguments.tool {
        return answer(tools::judge_files(judge).map(|judgement| serde_json::json!(judgement).to_string()));
    }
    if let Some(Tool::Command(CommandTool::Render(wanted))) = &arguments.tool {
        return match CommandSettings::load(&arguments.config, Environment::from_process()) {
            Ok(settings) => render(wanted, &settings),
            Err(errors) => wrong_settings(&errors),
        };
    }
    if arguments.check_config {
        return config::answer(Settings::check(&arguments.config, Environment::from_process()));
    }
    let (settings, warnings) = match Settings::load(&arguments.config, Environment::from_process()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            return wrong_settings(&errors);
        }
    };
    let done = Telemetry::install(settings.telemetry.clone(), Vec::new())
        .map_err(anyhow::Error::from)
        .and_then(|telemetry| {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            let properties = [
                ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
                ("service.instance.id", format!("{}/{}", settings.target, settings.name)),
            ];
            // Before the runtime begins, and until it has ended.
            let _traces = TraceExport::install(settings.traces.as_ref(), "dmf-worker", &properties)?;
            run(settings, telemetry)
        });
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Logging is not set up then: it is told by the settings that are wrong.
fn wrong_settings(errors: &config::Errors) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{errors}");
    ExitCode::from(config::EXIT_CODE)
}

/// Renders a command; notes go where faults go.
#[tokio::main(flavor = "current_thread")]
async fn render(arguments: &RenderArguments, settings: &CommandSettings) -> ExitCode {
    answer(tools::render(arguments, settings).await.map(|rendered| {
        for note in rendered.notes {
            let _ = writeln!(std::io::stderr(), "{note}");
        }
        rendered.lines.join("\n")
    }))
}

/// Prints the answer of a tool, or what is wrong.
fn answer(answer: Result<String, tools::Error>) -> ExitCode {
    let (text, code) = match answer {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{:#}", anyhow::Error::from(error));
            return ExitCode::FAILURE;
        }
    };
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

#[tokio::main]
async fn run(settings: Settings, telemetry: Telemetry) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::new();
    lifecycle.watch_signals().context("signals")?;
    // What is wrong with this machine is known before anybody hears of this worker.
    let state = match StateDir::lock(&settings.state_dir) {
        Err(error @ registration::Error::State { .. }) => return Ok(wrong_machine(error)),
        locked => locked?,
    };
    let inspection = Machine::inspect(&settings, state.path());
    let machine = match lifecycle.soft().run_until_cancelled(inspection).await {
        None => return Ok(ExitCode::SUCCESS),
        Some(Ok(machine)) => machine,
        Some(Err(error)) => return Ok(wrong_machine(error)),
    };
    let store = Store::connect_lazily(&store::Options::from(&settings.database));
    let queue = Queue::connect_lazily(&settings.queue)?;
    lifecycle.spawn("redis policy", queue.clone().check_policy(lifecycle.soft().clone()));
    lifecycle.spawn("redis sentinel", queue.clone().follow_master(lifecycle.soft().clone()));
    let readiness = Readiness::new(lifecycle.soft().clone());
    let registered = Arc::new(OnceLock::new());
    let watched = Watched {
        store: (&store, settings.database.url.display()),
        queue: &queue,
        table: &registered,
        doveadm: machine.doveadm(),
    };
    // Before the worker has its place: who asks is to hear that it waits.
    serve(&settings.http, &watched, &lifecycle, telemetry, readiness.clone()).await?;
    let Some(backend) = take_place(&store, &state, &settings, &lifecycle).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let wake = Arc::new(Notify::new());
    let table = Arc::new(Table::new(backend.max_threads, settings.reserved_for_priority, wake.clone()));
    table.set_state(backend.wanted_state);
    registered.get_or_init(|| table.clone());
    let claimant = Arc::new(Claimant {
        store: store.clone(),
        queue,
        holder: Holder {
            backend: backend.id,
            incarnation: backend.incarnation,
            target: backend.target_id,
            name: format!("{}/{}", backend.target, backend.name),
        },
        table,
        lease: settings.rhythm.lease,
        claim_timeout: settings.rhythm.claim_timeout,
        untold: Mutex::default(),
        results: Batcher::default(),
        releases: Batcher::default(),
    });
    let (rhythm, grace) = (settings.rhythm, settings.grace);
    let sweeping = retention::run(settings.command_log.clone(), Clock::system(), lifecycle.soft().clone());
    lifecycle.spawn("retention", sweeping);
    let runner = Runner::new(claimant.clone(), settings, machine);
    let runtime = Runtime {
        heartbeat: Heartbeat {
            claimant: claimant.clone(),
            rhythm,
            look: Arc::default(),
            usurped: CancellationToken::new(),
        },
        runner: Arc::new(runner),
        claimant,
        wake,
        grace,
    };
    tracing::info!(
        target = backend.target,
        name = backend.name,
        threads = backend.max_threads,
        "the worker is ready"
    );
    readiness.set();
    lifecycle.spawn("worker", runtime.run(lifecycle.clone()));
    lifecycle.notify_ready();
    let ending = lifecycle.run(grace + HAND_BACK).await;
    if timeout(CLOSE_LIMIT, store.close()).await.is_err() {
        tracing::warn!("connections to the database did not close in time");
    }
    tracing::info!(?ending, "the worker has stopped");
    Ok(ending.exit_code())
}

/// Settings that do not fit this machine: to try again changes nothing.
fn wrong_machine(error: impl Into<anyhow::Error>) -> ExitCode {
    tracing::error!("{:#}", error.into());
    ExitCode::from(config::EXIT_CODE)
}

/// Serves the management endpoints, where they are wanted.
async fn serve(
    http: &HttpSettings,
    watched: &Watched<'_>,
    lifecycle: &Lifecycle,
    telemetry: Telemetry,
    readiness: Readiness,
) -> anyhow::Result<()> {
    let listen = http.listen.clone();
    lifecycle
        .watch_hangup(move || {
            if let Some(listen) = &listen {
                listen.reload();
            }
        })
        .context("signals")?;
    let Some(listen) = &http.listen else { return Ok(()) };
    let server = Server::bind(listen).await.with_context(|| listen.address.to_string())?;
    let router = http::router(http, watched, readiness, telemetry);
    tracing::info!(address = %listen.address, tls = listen.certificates.is_some(), "serving the management endpoints");
    lifecycle.spawn("http", server.serve(router, lifecycle.clone()));
    Ok(())
}

/// How long connections to the database may take to close at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How long children may take to end and leases to be handed back after the grace time.
const HAND_BACK: Duration = Duration::from_secs(30);
/// How long to wait for the database, or for its schema, before it is asked again.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Registers; while MariaDB or its schema is not there it waits, until told to stop (`None`).
async fn take_place(
    store: &Store,
    state: &StateDir,
    settings: &Settings,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Option<Backend>> {
    let machine =
        nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let registration = Registration {
        target: settings.target.clone(),
        name: settings.name.clone(),
        incarnation: uuid::Uuid::nil(),
        machine,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        initial_state: settings.initial_state,
        threads: settings.threads,
        lease_deadline: settings.rhythm.lease,
    };
    loop {
        let taking = registration::take_place(store, state, registration.clone(), settings.rhythm);
        // A store that never answers must not keep the process from ending.
        match lifecycle.soft().run_until_cancelled(taking).await {
            None => return Ok(None),
            Some(Ok(backend)) => return Ok(Some(backend)),
            Some(Err(registration::Error::Store(error)))
                if error.is_transient() || error.is_schema_missing() =>
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "waiting for the database and its schema"
                );
            }
            Some(Err(error)) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(DATABASE_PAUSE) => {}
            () = lifecycle.soft().cancelled() => return Ok(None),
        }
    }
}
