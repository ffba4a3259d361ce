use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_lab::{Lab, Port, Proxy, Seed, Seeded, SourceDovecot, poll_until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::binaries::Binaries;
use crate::builder::Builder;
use crate::customer::Customer;
use crate::daemon::Daemon;
use crate::faults::StoreLinks;
use crate::host::SourceHost;
use crate::secure::SecureScheduler;
use crate::settings::{self, LeaseSecs, Surroundings, TARGET, WorkerOptions};

/// Name of the one source Dovecot in the lab.
pub(crate) const SOURCE: &str = "old";
/// Longest time for a process to get ready; on a busy machine it may take some seconds.
const START_DEADLINE: Duration = Duration::from_secs(40);
/// Longest time for what follows at once from something else.
const DEADLINE: Duration = Duration::from_secs(20);

/// Schedulers and workers over the servers of one lab.
#[derive(Debug)]
pub struct Fleet {
    schedulers: Vec<Daemon>,
    workers: Vec<Daemon>,
    api: Api,
    /// Keeps other labs off the schedulers' ports, also while a scheduler is stopped.
    _ports: Vec<Port>,
    last_address: AtomicU8,
    /// What each process reaches its stores by, where they are isolated from each other.
    links: BTreeMap<String, StoreLinks>,
    lab: Arc<Lab>,
}

/// What a fleet is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) schedulers: usize,
    pub(crate) workers: usize,
    pub(crate) options: WorkerOptions,
    pub(crate) lease: Option<LeaseSecs>,
    pub(crate) links: BTreeMap<String, StoreLinks>,
    /// Further settings of all workers.
    pub(crate) extra: String,
    /// Further settings of all schedulers.
    pub(crate) scheduler_extra: String,
    /// What runs in the place of doveadm.
    pub(crate) doveadm: Option<PathBuf>,
}

impl Parts {
    fn surroundings<'a>(&'a self, lab: &Lab, process: &str, extra: &'a str) -> Surroundings<'a> {
        let link = self.links.get(process);
        Surroundings {
            mariadb: link.map_or_else(|| lab.mariadb().addr(), |link| link.mariadb.addr()),
            redis: link.map_or_else(|| lab.redis().addr(), |link| link.redis.addr()),
            lease: self.lease,
            extra,
            doveadm: self.doveadm.as_deref(),
        }
    }
}

impl Fleet {
    /// A fleet of one scheduler and one worker, unless told otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Writes all settings; nothing is started.
    pub(crate) fn prepare(lab: Lab, binaries: &Binaries, parts: Parts) -> Result<Self> {
        let lab = Arc::new(lab);
        let dir = lab.dir().join("fleet");
        std::fs::create_dir_all(&dir)?;
        let ports = (0..parts.schedulers).map(|_| Port::reserve()).collect::<dmf_lab::Result<Vec<_>>>()?;
        let daemon =
            |name: String, program, settings| Daemon::new(Arc::clone(&lab), &name, program, settings);
        let make_scheduler = |(number, port): (usize, &Port)| {
            let name = format!("scheduler-{number}");
            let around = parts.surroundings(&lab, &name, &parts.scheduler_extra);
            let settings = settings::write_scheduler(&lab, &dir, number, port.number(), &around)?;
            Ok(daemon(name, binaries.scheduler(), settings))
        };
        let make_worker = |number: usize| {
            let name = format!("worker-{number}");
            let around = parts.surroundings(&lab, &name, &parts.extra);
            let settings = settings::write_worker(&lab, &dir, number, parts.options, &around)?;
            Ok(daemon(name, binaries.worker(), settings))
        };
        Ok(Self {
            schedulers: (1..).zip(&ports).map(make_scheduler).collect::<Result<_>>()?,
            workers: (1..=parts.workers).map(make_worker).collect::<Result<_>>()?,
            api: Api::new(ports.iter().map(Port::number))?,
            _ports: ports,
            last_address: AtomicU8::new(1),
            links: parts.links,
            lab,
        })
    }

    /// Starts all schedulers at once, then the first so many workers, and waits until they serve.
    pub(crate) async fn start(&self, workers: usize) -> Result<()> {
        let started = async {
            for scheduler in &self.schedulers {
                scheduler.start()?;
            }
            for number in 0..self.schedulers.len() {
                self.wait_for_scheduler(number).await?;
            }
            for worker in self.workers.iter().take(workers) {
                worker.start()?;
            }
            for number in 0..workers {
                self.wait_for_worker(number).await?;
            }
            Ok(())
        };
        started.await.inspect_err(|_| self.print_logs())
    }

    /// Waits until a scheduler answers and reports that all is well.
    pub async fn wait_for_scheduler(&self, number: usize) -> Result<()> {
        let (scheduler, api) = (&self.schedulers[number], self.api.only(number));
        poll_until(&format!("{} did not get ready", scheduler.name()), START_DEADLINE, async || {
            match api.anonymous("/health").await {
                Ok(answer) if answer.status == 200 => Ok(Ok(())),
                _ if !scheduler.is_running() => Ok(Err(anyhow::anyhow!("{} has ended", scheduler.name()))),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await?
    }

    /// Waits until a worker has registered itself and runs.
    pub async fn wait_for_worker(&self, number: usize) -> Result<()> {
        let worker = &self.workers[number];
        let path = format!("/targets/{TARGET}/backends/{}", worker.name());
        poll_until(&format!("{} did not get ready", worker.name()), START_DEADLINE, async || {
            match self.api.admin(Method::GET, &path, None).await {
                Ok(answer) if answer.body["state"] == "RUNNING" => Ok(Ok(())),
                _ if !worker.is_running() => Ok(Err(anyhow::anyhow!("{} has ended", worker.name()))),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.body)),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await?
    }

    /// The servers below.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The schedulers' database, `mysql://…`.
    pub fn database_url(&self) -> String {
        self.lab.mariadb().url(settings::DATABASE)
    }

    /// All schedulers, as clients see them.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The scheduler processes.
    pub fn schedulers(&self) -> &[Daemon] {
        &self.schedulers
    }

    /// One more scheduler on the same stores, with TLS. Not started, and none that the fleet's own clients ask.
    pub fn secure_scheduler(&self) -> Result<SecureScheduler> {
        SecureScheduler::beside(&self.lab, &self.schedulers[0])
    }

    /// The worker processes.
    pub fn workers(&self) -> &[Daemon] {
        &self.workers
    }

    /// What a scheduler or worker reaches its stores by.
    ///
    /// # Panics
    /// When the fleet was not built with [`Builder::isolated`].
    #[track_caller]
    pub fn links(&self, daemon: &Daemon) -> &StoreLinks {
        let Some(links) = self.links.get(daemon.name()) else {
            panic!("this fleet's stores are not isolated")
        };
        links
    }

    /// The source Dovecot behind all source hosts.
    pub fn source(&self) -> &SourceDovecot {
        self.lab.source(SOURCE)
    }

    /// Creates a Source, which the scheduler makes a key for.
    pub async fn create_source(&self, name: &str) -> Result<Customer> {
        let body = json!({ "name": name });
        let created = self.api.admin(Method::POST, "/sources", Some(&body)).await?.expect(201)?;
        let key = created["apiKey"].as_str().context("the answer holds no key")?;
        Ok(self.customer(name, key))
    }

    /// A Source that exists already.
    pub fn customer(&self, source: &str, key: &str) -> Customer {
        Customer::new(self.api.clone(), source, key)
    }

    /// Opens a source host on an address of its own; the API does not know it yet.
    pub async fn open_host(&self, limit: usize) -> Result<SourceHost> {
        let last = self.last_address.fetch_add(1, Ordering::Relaxed) + 1;
        let proxy = Proxy::start_on(Ipv4Addr::new(127, 0, 0, last), self.source().addr()).await?;
        Ok(SourceHost { proxy, limit })
    }

    /// Opens a source host and creates it for a customer.
    pub async fn add_host(&self, customer: &Customer, limit: usize) -> Result<SourceHost> {
        let host = self.open_host(limit).await?;
        let path = format!("/sources/{}/sourcehosts", customer.source());
        self.api.admin(Method::POST, &path, Some(&host.definition())).await?.expect(201)?;
        Ok(host)
    }

    /// A source host as the API shows it.
    pub async fn host_view(&self, customer: &Customer, host: &SourceHost) -> Result<Value> {
        let path = format!("/sources/{}/sourcehosts/{}", customer.source(), host.name());
        self.api.admin(Method::GET, &path, None).await?.expect(200)
    }

    /// Creates a user with mail on the source, and returns what is in every mailbox.
    pub fn add_user(&self, user: &str, password: &str, seed: &Seed) -> Result<Seeded> {
        self.source().add_user(user, password)?;
        Ok(self.source().seed(user, seed)?)
    }

    /// Compares every mailbox on the target with what the source was given, and every message with the source's.
    pub async fn expect_mail(&self, user: &str, truth: &Seeded) -> Result<()> {
        let found = self.lab.target().mailboxes(user).await?;
        ensure!(
            found == truth.counts(),
            "{user} has on the target {found:#?} instead of {:#?}",
            truth.counts()
        );
        let changed = self.changed_mailboxes(user).await?;
        ensure!(changed.is_empty(), "{user} has other flags, times or texts on the target in {changed:?}");
        Ok(())
    }

    /// Mailboxes whose messages on the target are not those of the source.
    pub(crate) async fn changed_mailboxes(&self, user: &str) -> Result<BTreeSet<String>> {
        let (source, target) = (self.source().messages(user).await?, self.lab.target().messages(user).await?);
        let names = source.keys().chain(target.keys());
        Ok(names.filter(|name| source.get(*name) != target.get(*name)).cloned().collect())
    }

    /// Prints the last lines of all logs.
    pub fn print_logs(&self) {
        for daemon in self.schedulers.iter().chain(&self.workers) {
            println!("{}", daemon.log_tail());
        }
    }

    /// Stops the workers as an operator does and looks for what must not be left behind.
    pub(crate) async fn expect_clean_end(&self) -> Result<()> {
        let running: Vec<&Daemon> = self.workers.iter().filter(|worker| worker.is_running()).collect();
        for worker in &running {
            worker.terminate();
        }
        for worker in &running {
            let status = worker.wait().await?;
            ensure!(status.code() == Some(0), "{} ended with {status}", worker.name());
        }
        self.expect_no_lease().await
    }

    /// No source host may have a lease left.
    async fn expect_no_lease(&self) -> Result<()> {
        let ask = async |path: String| self.api.admin(Method::GET, &path, None).await?.expect(200);
        poll_until("the leases did not end", DEADLINE, async || {
            let look = async {
                let mut left = Vec::new();
                for source in names(&ask("/sources".into()).await?) {
                    let hosts = ask(format!("/sources/{source}/sourcehosts")).await?;
                    let hosts = hosts.as_array().into_iter().flatten();
                    left.extend(hosts.filter(|host| host["connectionsInUse"] != 0).map(Value::to_string));
                }
                anyhow::Ok(left)
            };
            match look.await {
                Ok(left) if left.is_empty() => Ok(()),
                Ok(left) => Err(left.join(", ")),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await?;
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

fn names(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
}
