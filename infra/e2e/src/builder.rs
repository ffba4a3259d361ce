use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use dmf_lab::{Lab, Persistence};

use crate::binaries::Binaries;
use crate::faults::StoreLinks;
use crate::fleet::{Fleet, Parts, SOURCE};
use crate::settings::{LeaseSecs, WorkerOptions};

/// How large a fleet is. Made by [`Fleet::builder`].
#[derive(Debug, Clone)]
#[must_use = "a fleet starts with `run` or `start`"]
pub struct Builder {
    schedulers: usize,
    workers: usize,
    started_workers: Option<usize>,
    options: WorkerOptions,
    lease: Option<LeaseSecs>,
    is_isolated: bool,
    redis: Persistence,
    extra: String,
    scheduler_extra: String,
    doveadm: Option<PathBuf>,
    storage: dmf_lab::Storage,
    max_userip_connections: Option<u32>,
    namespace: Option<(String, char)>,
    dir: Option<PathBuf>,
    mariadb: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        let options = WorkerOptions { threads: 4, grace_secs: 20, retry_delay_secs: 1 };
        Self {
            schedulers: 1,
            workers: 1,
            started_workers: None,
            options,
            lease: None,
            is_isolated: false,
            redis: Persistence::None,
            extra: String::new(),
            scheduler_extra: String::new(),
            doveadm: None,
            storage: dmf_lab::Storage::Mdbox,
            max_userip_connections: None,
            namespace: None,
            dir: None,
            mariadb: Vec::new(),
        }
    }
}

impl Builder {
    /// Number of schedulers, 1 unless told.
    pub fn schedulers(mut self, count: usize) -> Self {
        self.schedulers = count;
        self
    }

    /// Number of workers, 1 unless told.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Starts only the first so many workers; the others have their settings and wait for `start`.
    pub fn started_workers(mut self, count: usize) -> Self {
        self.started_workers = Some(count);
        self
    }

    /// How many migrations each worker runs at a time, 4 unless told.
    pub fn threads(mut self, threads: u32) -> Self {
        self.options.threads = threads;
        self
    }

    /// How long a worker waits for what runs after SIGTERM, 20 s unless told.
    pub fn grace_secs(mut self, secs: u32) -> Self {
        self.options.grace_secs = secs;
        self
    }

    /// How long a worker waits between the attempts of a sync, 1 s unless told.
    pub fn retry_delay_secs(mut self, secs: u32) -> Self {
        self.options.retry_delay_secs = secs;
        self
    }

    /// Other times of the leases, for schedulers and workers alike.
    pub fn lease(mut self, times: LeaseSecs) -> Self {
        self.lease = Some(times);
        self
    }

    /// What Redis keeps over a restart; nothing unless told.
    pub fn redis(mut self, persistence: Persistence) -> Self {
        self.redis = persistence;
        self
    }

    /// Puts a proxy before each store for every process alone, see [`Fleet::links`].
    pub fn isolated(mut self) -> Self {
        self.is_isolated = true;
        self
    }

    /// How the target stores mail, mdbox unless told.
    pub fn storage(mut self, storage: dmf_lab::Storage) -> Self {
        self.storage = storage;
        self
    }

    /// How many connections the source allows for one user, 10 unless told.
    pub fn max_userip_connections(mut self, limit: u32) -> Self {
        self.max_userip_connections = Some(limit);
        self
    }

    /// What every mailbox of the source but INBOX lies below, and its separator; nothing and `/` unless told.
    pub fn source_namespace(mut self, prefix: &str, separator: char) -> Self {
        self.namespace = Some((prefix.to_owned(), separator));
        self
    }

    /// Keeps everything in this directory, which must be empty or absent, instead of one on tmpfs: where commits
    /// are to cost what a disk makes of them.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Further options of the MariaDB server.
    pub fn mariadb_options(mut self, options: &[&str]) -> Self {
        self.mariadb.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// Adds settings, as YAML, to those of all workers.
    pub fn worker_settings(mut self, yaml: &str) -> Self {
        self.extra.push_str(yaml);
        self
    }

    /// Adds settings, as YAML, to those of all schedulers.
    pub fn scheduler_settings(mut self, yaml: &str) -> Self {
        self.scheduler_extra.push_str(yaml);
        self
    }

    /// Another program in the place of doveadm. The target's own `doveconf` is to stand beside it.
    pub fn doveadm(mut self, program: PathBuf) -> Self {
        self.doveadm = Some(program);
        self
    }

    /// Starts the fleet, runs `test` on it, stops it in order and looks for what should not be left: leases,
    /// connections, workers that don't end well.
    ///
    /// # Errors
    /// Those of `test`, or what is left. The logs are printed then.
    pub async fn run(self, test: impl AsyncFnOnce(&Fleet) -> Result<()>) -> Result<()> {
        let fleet = self.start(&Binaries::for_test()?).await?;
        let outcome = match test(&fleet).await {
            Ok(()) => fleet.expect_clean_end().await,
            failed => failed,
        };
        if outcome.is_err() {
            fleet.print_logs();
        }
        outcome
    }

    /// Starts the fleet and waits until all of it serves.
    pub async fn start(self, binaries: &Binaries) -> Result<Fleet> {
        let mut lab = Lab::builder().mariadb().redis_with(self.redis).source(SOURCE).target(self.storage);
        let options: Vec<&str> = self.mariadb.iter().map(String::as_str).collect();
        lab = lab.mariadb_options(&options);
        if let Some(dir) = &self.dir {
            lab = lab.dir(dir);
        }
        if let Some(limit) = self.max_userip_connections {
            lab = lab.max_userip_connections(limit);
        }
        if let Some((prefix, separator)) = &self.namespace {
            lab = lab.source_namespace(prefix, *separator);
        }
        let lab = lab.start().await?;
        let links = if self.is_isolated { self.open_links(&lab).await? } else { BTreeMap::new() };
        let parts = Parts {
            schedulers: self.schedulers,
            workers: self.workers,
            options: self.options,
            lease: self.lease,
            links,
            extra: self.extra,
            scheduler_extra: self.scheduler_extra,
            doveadm: self.doveadm,
        };
        let fleet = Fleet::prepare(lab, binaries, parts)?;
        fleet.start(self.started_workers.unwrap_or(self.workers)).await?;
        Ok(fleet)
    }

    async fn open_links(&self, lab: &Lab) -> Result<BTreeMap<String, StoreLinks>> {
        let schedulers = (1..=self.schedulers).map(|number| format!("scheduler-{number}"));
        let workers = (1..=self.workers).map(|number| format!("worker-{number}"));
        let mut links = BTreeMap::new();
        for name in schedulers.chain(workers) {
            links.insert(name, StoreLinks::open(lab).await?);
        }
        Ok(links)
    }
}
