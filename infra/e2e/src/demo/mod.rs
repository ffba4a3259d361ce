//! What `dmf-demo` does: starts a lab and a fleet, moves users from two source hosts, and checks every mailbox.

mod curl;
mod detach;
mod progress;
mod report;
mod stage;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::detach::Launcher;
use self::stage::Stage;

/// Moves the mail of some users with a real fleet: one scheduler, two workers, and private MariaDB, Redis and
/// Dovecot servers. Ends with a table, and with exit code 0 only if every user was moved, every mailbox is what it
/// was, and no source host saw more connections than allowed.
#[derive(Debug, Parser)]
#[command(name = "dmf-demo", version)]
pub struct Options {
    /// Number of users.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    users: u32,
    /// Number of messages of each user.
    #[arg(long, value_name = "N", default_value_t = 150)]
    messages: u64,
    /// Leaves everything running, and says where it is and how to end it.
    #[arg(long)]
    keep: bool,
    /// The part of `--keep` that stays.
    #[arg(long, hide = true)]
    held: bool,
}

/// Runs the demo as the command line says.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = if options.keep && !options.held { detach::launch() } else { run(&options) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("dmf-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo to its end, or to a signal; whether it passed.
#[tokio::main]
async fn run(options: &Options) -> Result<bool> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(end);
    let mut launcher = if options.held { Some(Launcher::connect()?) } else { None };
    let launcher_gone = async {
        match &mut launcher {
            Some(launcher) => launcher.gone().await,
            None => std::future::pending().await,
        }
    };
    // Whoever ends this drops the stage, and with it all servers and processes.
    let (stage, passed) = tokio::select! {
        shown = show(options) => shown?,
        () = launcher_gone => return Ok(false),
        () = &mut end => return Ok(false),
    };
    if let Some(launcher) = &mut launcher {
        stage.print_keep();
        launcher.release(passed).await?;
        end.await;
    }
    Ok(passed)
}

async fn show(options: &Options) -> Result<(Stage, bool)> {
    let begin = Instant::now();
    let stage = Stage::set(options).await?;
    stage.submit_all().await?;
    progress::watch(&stage).await?;
    let report = report::gather(&stage).await?;
    report.print();
    println!("\nThe whole demo took {:.1} s.", begin.elapsed().as_secs_f64());
    Ok((stage, report.passed()))
}
