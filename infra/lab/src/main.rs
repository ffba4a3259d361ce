//! `dmf-lab`: a lab from the command line, for the demo and for trying things out by hand.

#![allow(clippy::print_stdout, reason = "this program talks to a person at a terminal")]

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use dmf_lab::{Folders, Lab, Seed, SourceDovecot, Storage, programs};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

/// Starts private MariaDB, Redis and Dovecot servers with mail in them.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything, prints where it is as one JSON object, and runs until Ctrl-C or SIGTERM.
    Up(Up),
    /// Says which programs are missing and which Debian packages have them.
    Check,
}

#[derive(Debug, clap::Args)]
struct Up {
    /// Number of source mail servers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    sources: u16,
    /// Number of users, spread evenly over the sources: user1@example.com, password user1pw, and so on.
    #[arg(long, default_value_t = 5)]
    users: u32,
    /// Number of messages of each user.
    #[arg(long, default_value_t = 50)]
    messages: u64,
    /// How the target stores mail: mdbox, sdbox or maildir.
    #[arg(long, default_value_t = Storage::Mdbox)]
    storage: Storage,
    /// Directory of all files, empty or absent; one on tmpfs when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leaves everything running and ends at once.
    #[arg(long)]
    keep: bool,
}

/// What `up` prints.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    servers: dmf_lab::Description,
    users: Vec<User>,
}

#[derive(Debug, Serialize)]
struct User {
    name: String,
    password: String,
    source: String,
    mailboxes: usize,
    messages: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Up(up) => run(up).await,
        Command::Check => check(),
    }
}

async fn run(up: Up) -> Result<()> {
    // From here on a signal ends the lab in order, also while it is starting.
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let serve = async {
        let lab = start(&up).await?;
        let report = Report { servers: lab.describe(), users: seed(lab.sources(), &up)? };
        println!("{}", serde_json::to_string_pretty(&report)?);
        if up.keep {
            lab.keep();
            return Ok(());
        }
        std::future::pending::<()>().await;
        drop(lab);
        Ok(())
    };
    tokio::select! {
        ended = serve => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

async fn start(up: &Up) -> Result<Lab> {
    let mut builder = Lab::builder().mariadb().redis().target(up.storage);
    for number in 1..=up.sources {
        builder = builder.source(&format!("source{number}"));
    }
    if let Some(dir) = &up.dir {
        builder = builder.dir(dir);
    }
    builder.start().await.context("start the lab")
}

fn seed(sources: &[SourceDovecot], up: &Up) -> Result<Vec<User>> {
    let spread = sources.iter().cycle();
    let seed = Seed::new(Folders::Normal, up.messages).large_attachments();
    std::iter::zip(1..=up.users, spread)
        .map(|(number, source)| {
            let (user, password) = (format!("user{number}@example.com"), format!("user{number}pw"));
            source.add_user(&user, &password)?;
            let seeded = source.seed(&user, &seed)?;
            let (mailboxes, messages) = (seeded.mailboxes.len(), seeded.messages());
            Ok(User { name: user, password, source: source.name().into(), mailboxes, messages })
        })
        .collect()
}

fn check() -> Result<()> {
    let mut missing = 0;
    for program in programs::ALL {
        match program.locate() {
            Ok(path) => println!("{:20} {}", program.name, path.display()),
            Err(error) => {
                missing += 1;
                println!("{:20} {error}", program.name);
            }
        }
    }
    ensure!(missing == 0, "{missing} programs are missing");
    Ok(())
}
