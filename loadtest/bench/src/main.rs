//! `dmf-loadtest`: what the fleet does, beside what the same machine does bare, in one run. Each part writes a
//! report in Markdown.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of the project talks SQL to bare servers and talks to people; no product code is in it"
)]

mod bare;
mod bulk;
mod compare;
mod fleet;
mod footprint;
mod k6;
mod mail;
mod micro;
mod peers;
mod plot;
mod process;
mod rate;
mod report;
mod rows;
mod seed;
mod stage;
mod store;
mod submits;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::{
    peers::{Choice, protocol::Role},
    report::Report,
};

/// Measures the fleet beside the bare servers under it, and writes a report for each part.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What to measure; everything where nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Fewer and shorter rounds: about twenty minutes for all parts.
    #[arg(long)]
    quick: bool,
    /// Where the reports go.
    #[arg(long, value_name = "DIRECTORY", default_value = "loadtest/reports")]
    reports: PathBuf,
    /// Where the servers keep their data; a directory on the disk that is to be measured.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/loadtest")]
    data: PathBuf,
    /// Where `loadtest/install-peers` has put the peers.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/peers")]
    peers: PathBuf,
    /// Of the part `peers` only these contestants; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Of the part `fleet`: users that are migrated; 100,000 unless told, fewer in a quick pass.
    #[arg(long, value_name = "N")]
    users: Option<u32>,
    /// Of the part `fleet`: simulated workers; 1,000 unless told, fewer in a quick pass.
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// The runner starts itself as a contestant of the part `peers`.
    #[arg(long, hide = true, requires = "role")]
    contestant: Option<String>,
    /// What for.
    #[arg(long, hide = true)]
    role: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Single submits beside the same statements from a bare client.
    Submits,
    /// Bulk submits beside bare multi-row inserts of the same rows.
    Bulk,
    /// Real mail through the fleet beside `xargs -P` of the same commands, mbsync and a loop.
    Mail,
    /// Memory, time to start and size of the programs.
    Footprint,
    /// Scenarios of k6 against two schedulers; fails where a threshold does not hold.
    K6,
    /// This queue beside others, durable and in memory.
    Peers,
    /// The smallest parts alone: words of doveadm, templates, Lua scripts.
    Micro,
    /// A thousand simulated workers on the real stores and schedulers; fails where a promise is broken.
    Fleet,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Rounds; in each, every side is measured once.
    rounds: usize,
    /// Seconds of one measurement.
    secs: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let (Some(contestant), Some(role)) = (&arguments.contestant, &arguments.role) {
        let role = Role::parse(role).with_context(|| format!("no such role: {role}"))?;
        return peers::own::play(contestant, role).await;
    }
    let extent = if arguments.quick { Extent { rounds: 3, secs: 2 } } else { Extent { rounds: 7, secs: 6 } };
    let parts = if arguments.parts.is_empty() { Part::value_variants().to_vec() } else { arguments.parts };
    std::fs::create_dir_all(&arguments.data).with_context(|| arguments.data.display().to_string())?;
    let mut failures = Vec::new();
    for part in parts {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        println!("== {name}");
        let mut report = Report::new(&name, arguments.quick)?;
        match part {
            Part::Submits => submits::measure(&arguments.data, extent, &mut report).await,
            Part::Bulk => bulk::measure(&arguments.data, extent, &mut report).await,
            Part::Mail => {
                mail::measure(&arguments.data, arguments.quick, &arguments.reports, &mut report).await
            }
            Part::Footprint => {
                footprint::measure(&arguments.data, arguments.quick, &arguments.reports, &mut report).await
            }
            Part::K6 => k6::measure(&arguments.data, arguments.quick, &arguments.reports, &mut report).await,
            Part::Peers => {
                let choice = Choice {
                    quick: arguments.quick,
                    installed: &arguments.peers,
                    only: &arguments.only,
                    reports: &arguments.reports,
                };
                peers::measure(&arguments.data, &choice, &mut report).await
            }
            Part::Micro => micro::measure(&arguments.data, arguments.quick, &mut report).await,
            Part::Fleet => {
                let size = fleet::Size::new(arguments.quick, arguments.users, arguments.workers)?;
                fleet::measure(&arguments.data, &size, &arguments.reports, &mut report).await
            }
        }
        .with_context(|| name.clone())?;
        let path = report.write(&arguments.reports)?;
        println!("{}\nwritten to {}", report.text(), path.display());
        failures.extend(report.failures().iter().map(|what| format!("{name}: {what}")));
    }
    ensure!(failures.is_empty(), "these must not be so:\n{}", failures.join("\n"));
    Ok(())
}
