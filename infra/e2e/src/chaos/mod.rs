//! What `dmf-chaos` does: a fleet under load while processes, stores and lines break by a seeded schedule, and at
//! the end the proof that nothing was lost and nothing done twice.

mod breakage;
mod campaign;
mod evidence;
mod fault;
mod field;
mod load;
mod locks;
mod machine;
mod operator;
mod promises;
mod report;
mod schedule;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

pub use campaign::run;
pub use report::Report;

use crate::binaries::Binaries;

/// How large a campaign is. The same plan makes the same schedule.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What the schedule and the load are drawn from.
    pub seed: u64,
    /// How long things break; the way back to rest comes after it.
    pub time: Duration,
    /// Users who are migrated again and again.
    pub users: u32,
    /// Source hosts, with limits of one to three connections.
    pub hosts: u32,
    /// Worker processes.
    pub workers: usize,
    /// Scheduler processes.
    pub schedulers: usize,
}

/// Breaks processes, stores and lines of a fleet under load, by a schedule that follows from the seed. Ends with
/// exit code 0 only if every migration ended once, all mail is where it belongs, no limit was passed, no two syncs
/// of a user met, nothing cancelled ran again, nobody stayed locked out, and nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "dmf-chaos", version)]
struct Options {
    /// The schedule; a random one unless told.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How long things break.
    #[arg(long, value_name = "N", default_value_t = 20)]
    minutes: u32,
    /// Number of users.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    users: u32,
    /// Number of source hosts.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    hosts: u32,
    /// Number of workers.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=50))]
    workers: u16,
    /// Number of schedulers.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10))]
    schedulers: u16,
    /// Where the report goes, in Markdown.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs a campaign as the command line says.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match launch(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("dmf-chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn launch(options: &Options) -> Result<bool> {
    let plan = Plan {
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        time: Duration::from_mins(options.minutes.into()),
        users: options.users,
        hosts: options.hosts,
        workers: options.workers.into(),
        schedulers: options.schedulers.into(),
    };
    let report = run(&plan, &Binaries::beside_this_program()?).await?;
    let text = report.markdown();
    println!("{text}");
    if let Some(path) = &options.report {
        std::fs::write(path, &text).with_context(|| path.display().to_string())?;
    }
    Ok(report.has_passed())
}
