//! The time from the start of a process to its readiness.

use std::time::{Duration, Instant};

use anyhow::Result;
use dmf_e2e::Daemon;
use dmf_lab::poll_until;
use reqwest::Client;

use crate::rate::Samples;

/// Longest time of one start.
const LIMIT: Duration = Duration::from_secs(40);
/// Longest time of one question.
const ANSWER: Duration = Duration::from_secs(5);

/// A program that can be asked whether it is ready.
#[derive(Debug)]
pub(super) struct Ready<'d> {
    daemon: &'d Daemon,
    http: Client,
    url: String,
}

impl<'d> Ready<'d> {
    /// `address`: `http://127.0.0.1:port`.
    pub(super) fn new(daemon: &'d Daemon, address: &str) -> Result<Self> {
        let http = Client::builder().timeout(ANSWER).pool_max_idle_per_host(0).build()?;
        Ok(Self { daemon, http, url: format!("{address}/health/readiness") })
    }

    pub(super) fn name(&self) -> &str {
        self.daemon.name()
    }

    async fn wait(&self) -> Result<()> {
        let what = format!("{} did not get ready", self.name());
        poll_until(&what, LIMIT, async || match self.http.get(&self.url).send().await {
            Ok(answer) if answer.status() == 200 => Ok(()),
            Ok(answer) => Err(answer.status().to_string()),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        Ok(())
    }
}

/// Milliseconds from the start to readiness, of so many starts of a program that runs.
pub(super) async fn start_times(program: &Ready<'_>, starts: usize) -> Result<Samples> {
    let mut took = Samples::default();
    for _ in 0..starts {
        program.daemon.stop().await?;
        let begun = Instant::now();
        program.daemon.start()?;
        program.wait().await?;
        took.add(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(took)
}
