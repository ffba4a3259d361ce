use std::time::Instant;

use anyhow::{Context as _, Result};
use dmf_lab::{Folders, Seed, Seeded, SourceDovecot, poll_until};
use serde_json::json;

use super::Options;
use super::curl::{Caller, get_command, post};
use crate::api::encode;
use crate::binaries::Binaries;
use crate::customer::Customer;
use crate::fleet::Fleet;
use crate::host::SourceHost;
use crate::settings::{ADMIN, ADMIN_PASSWORD, TARGET};

/// Connections that each source host allows.
const LIMITS: [usize; 2] = [2, 3];
const WORKERS: usize = 2;
const SOURCE: &str = "CustomerX";
/// Longest time for the first migration to start, after which something is wrong.
const START_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// Someone who moves.
#[derive(Debug)]
pub(super) struct Mover {
    pub(super) name: String,
    password: String,
    /// Which of the source hosts.
    pub(super) host: usize,
    /// What the mailboxes hold.
    pub(super) truth: Seeded,
}

/// Everything that the demo runs on.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) customer: Customer,
    pub(super) hosts: Vec<SourceHost>,
    pub(super) movers: Vec<Mover>,
}

impl Stage {
    /// Starts the servers and the fleet, creates Source and source hosts, and fills the users' mailboxes.
    pub(super) async fn set(options: &Options) -> Result<Self> {
        let begin = Instant::now();
        println!("Starting MariaDB, Redis, two Dovecots, one scheduler and {WORKERS} workers …");
        let binaries = Binaries::beside_this_program()?;
        let fleet = Fleet::builder().workers(WORKERS).start(&binaries).await?;
        println!("… ready after {:.1} s in {}\n", begin.elapsed().as_secs_f64(), fleet.lab().dir().display());

        println!("Creating the Source {SOURCE} and its source hosts:");
        let created = post(fleet.api(), Caller::Admin, "/sources", &json!({ "name": SOURCE })).await?;
        let key = created["apiKey"].as_str().context("the answer holds no key")?;
        println!("  the customer's key is {key}");
        let customer = fleet.customer(SOURCE, key);
        let mut hosts = Vec::new();
        for limit in LIMITS {
            let host = fleet.open_host(limit).await?;
            let path = format!("/sources/{SOURCE}/sourcehosts");
            post(fleet.api(), Caller::Admin, &path, &host.definition()).await?;
            hosts.push(host);
        }
        let movers = fill(fleet.source(), options, hosts.len())?;
        Ok(Self { fleet, customer, hosts, movers })
    }

    /// Submits all users. The first one comes to an idle fleet, so it tells how long a submit takes to start.
    pub(super) async fn submit_all(&self) -> Result<()> {
        println!("\nSubmitting {} users:", self.movers.len());
        for (number, mover) in self.movers.iter().enumerate() {
            let body = self.hosts[mover.host].submission(&mover.name, &mover.password);
            let caller = Caller::Customer(self.customer.key());
            post(self.fleet.api(), caller, "/users/migrations", &body).await?;
            if number == 0 {
                self.wait_for_start(&mover.name).await?;
            }
        }
        println!("\nReviewing one of them:");
        println!("{}\n", self.review_command());
        Ok(())
    }

    async fn wait_for_start(&self, user: &str) -> Result<()> {
        poll_until("the first migration did not start", START_DEADLINE, async || {
            let record = self.customer.latest(user).await.map_err(|error| format!("{error:#}"))?;
            if record.get("started").is_some() { Ok(()) } else { Err(record.to_string()) }
        })
        .await?;
        Ok(())
    }

    fn review_command(&self) -> String {
        let user = self.movers.first().map_or("", |mover| mover.name.as_str());
        let path = format!("/users/{}/migrations/latest", encode(user));
        get_command(self.fleet.api().url(), Caller::Customer(self.customer.key()), &path)
    }

    /// Says where everything is that stays, and how to end it.
    pub(super) fn print_keep(&self) {
        let lab = self.fleet.lab();
        let (url, key) = (self.fleet.api().url(), self.customer.key());
        println!("\nEverything stays up:");
        println!("  export DMF={url} ADMIN={ADMIN}:{ADMIN_PASSWORD} KEY={key}");
        println!("  files          {}", lab.dir().display());
        println!("  MariaDB        {}", lab.mariadb().url("migration"));
        println!("  Redis          {}", lab.redis().url());
        for host in &self.hosts {
            println!(
                "  source host    {} port {}, at most {} connections",
                host.name(),
                host.proxy.port(),
                host.limit
            );
        }
        let (master, password) = (SourceDovecot::MASTER_USER, SourceDovecot::MASTER_PASSWORD);
        println!(
            "  source users   user1@example.com password user1pw and so on; master user {master} password {password}"
        );
        println!("  target         {TARGET}: doveadm -c {}", lab.target().conf_path().display());
        for daemon in self.fleet.schedulers().iter().chain(self.fleet.workers()) {
            println!("  {:14} {}", daemon.name(), daemon.log_path().display());
        }
        println!("Look at a record, or submit more:");
        println!("  {}", self.review_command());
        println!("End it all:");
        println!("  kill {}", std::process::id());
    }
}

/// Users in turn over the source hosts, each with mail.
fn fill(source: &SourceDovecot, options: &Options, hosts: usize) -> Result<Vec<Mover>> {
    let begin = Instant::now();
    let fill_one = |number: usize| {
        let (name, password) = (format!("user{number}@example.com"), format!("user{number}pw"));
        // A few users have folder names that break careless programs.
        let folders = if number.is_multiple_of(5) { Folders::Odd } else { Folders::Normal };
        let seed = Seed::new(folders, options.messages).large_attachments();
        source.add_user(&name, &password)?;
        let truth = source.seed(&name, &seed)?;
        Ok(Mover { name, password, host: (number - 1) % hosts, truth })
    };
    let movers = (1..=usize::try_from(options.users)?).map(fill_one).collect::<Result<Vec<_>>>()?;
    println!("\n{} mailboxes with mail made in {:.1} s.", movers.len(), begin.elapsed().as_secs_f64());
    Ok(movers)
}
