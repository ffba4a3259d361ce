use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::faults::{Books, Child, Children, Keys, Witness, expect_quiet};
use dmf_e2e::{Builder, Customer, Daemon, Fleet, LeaseSecs, SourceHost};
use dmf_lab::{EventKind, Folders, Seed, Seeded, poll_until};
use reqwest::Method;

pub(crate) const PASSWORD: &str = "pw";
/// Longest time for whatever follows from a fault: a lost lease returns within 7 s.
const DEADLINE: Duration = Duration::from_secs(40);
/// Heartbeats that take longer than a silent lease lives, with leases of the shortest times.
pub(crate) const MORE_THAN_SILENCE: u64 = LeaseSecs::FAST.beats_beyond_silence();
/// The same where stores restart.
pub(crate) const MORE_THAN_STEADY_SILENCE: u64 = LeaseSecs::STEADY.beats_beyond_silence();

/// One Source with one source host behind a fleet, and those who look at it from outside.
pub(crate) struct Field<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) customer: Customer,
    pub(crate) host: SourceHost,
    pub(crate) books: Books,
    pub(crate) keys: Keys,
    pub(crate) children: Children,
    witness: Witness,
}

/// Runs a test on a fleet with short leases and a source host of this limit, then waits for rest and looks for
/// what must never have happened.
pub(crate) async fn on_field(
    builder: Builder,
    limit: usize,
    test: impl AsyncFnOnce(&Field<'_>) -> Result<()>,
) -> Result<()> {
    on_field_timed(builder, LeaseSecs::FAST, limit, test).await
}

/// The same with leases of other times.
pub(crate) async fn on_field_timed(
    builder: Builder,
    times: LeaseSecs,
    limit: usize,
    test: impl AsyncFnOnce(&Field<'_>) -> Result<()>,
) -> Result<()> {
    builder
        .lease(times)
        .isolated()
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, limit).await?;
            let books = Books::open(fleet.lab(), customer.source());
            let field = Field {
                fleet,
                host,
                keys: Keys::open(fleet.lab())?,
                children: Children::of(fleet.lab()),
                witness: Witness::start(fleet.lab(), books.clone()),
                customer,
                books,
            };
            test(&field).await?;
            field.expect_end().await
        })
        .await
}

impl Field<'_> {
    pub(crate) fn worker(&self, number: usize) -> &Daemon {
        &self.fleet.workers()[number - 1]
    }

    pub(crate) fn scheduler(&self, number: usize) -> &Daemon {
        &self.fleet.schedulers()[number - 1]
    }

    /// The customer, asking one scheduler only.
    pub(crate) fn customer_of(&self, scheduler: usize) -> Customer {
        self.customer.through(self.fleet.api().only(scheduler - 1))
    }

    /// Creates a user with some mail and submits its migration.
    pub(crate) async fn submit(&self, user: &str) -> Result<Seeded> {
        let truth = self.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        self.customer.submit(&self.host.submission(user, PASSWORD)).await?;
        Ok(truth)
    }

    /// Submits a user whose job waits in the queue, of which this worker hears nothing until its line to Redis is
    /// healed.
    pub(crate) async fn submit_unheard(&self, worker: &Daemon, user: &str) -> Result<Seeded> {
        self.fleet.links(worker).redis.stall(true);
        let truth = self.submit(user).await?;
        self.wait_until("the job did not come into the queue", async || {
            let queues: Vec<String> = self.keys.command(&["KEYS", &Keys::name("q:*")]).await?;
            ensure!(queues.len() == 1, "queues: {queues:?}");
            // The relay has committed, too.
            ensure!(self.books.outbox().await? == 0, "the outbox is not empty");
            Ok(())
        })
        .await?;
        Ok(truth)
    }

    /// Stalls the source and submits users until all of them are connected to it.
    pub(crate) async fn submit_stalled(&self, users: &[&str]) -> Result<BTreeMap<String, Seeded>> {
        self.host.proxy.stall(true);
        let mut truths = BTreeMap::new();
        for user in users {
            truths.insert((*user).to_owned(), self.submit(user).await?);
        }
        self.wait_for_connections(users.len()).await?;
        Ok(truths)
    }

    pub(crate) async fn wait_for_connections(&self, count: usize) -> Result<()> {
        poll_until("the source did not see its users", DEADLINE, async || match self.host.proxy.open() {
            open if open == count => Ok(()),
            open => Err(format!("{open} connections instead of {count}")),
        })
        .await?;
        Ok(())
    }

    /// Waits until the newest row of a user has this status in MariaDB.
    pub(crate) async fn wait_for_row(&self, user: &str, status: &str) -> Result<()> {
        self.wait_until(&format!("{user} did not become {status}"), async || {
            let row = self.books.row(user).await?;
            ensure!(row.status == status, "{row:?}");
            Ok(())
        })
        .await
    }

    /// Waits until the newest row of a user never changes again.
    pub(crate) async fn wait_until_ended(&self, user: &str) -> Result<()> {
        self.wait_until(&format!("{user} did not end"), async || {
            let row = self.books.row(user).await?;
            ensure!(row.is_terminal(), "{row:?}");
            Ok(())
        })
        .await
    }

    /// Waits until a look succeeds.
    pub(crate) async fn wait_until(&self, what: &str, look: impl AsyncFn() -> Result<()>) -> Result<()> {
        poll_until(what, DEADLINE, async || look().await.map_err(|error| format!("{error:#}"))).await?;
        Ok(())
    }

    pub(crate) async fn wait_for_log(&self, daemon: &Daemon, text: &str) -> Result<()> {
        let what = format!("{} did not log {text:?}", daemon.name());
        self.wait_until(&what, async || {
            ensure!(daemon.log().contains(text), "not logged");
            Ok(())
        })
        .await
    }

    /// Waits for so many further heartbeats of a user's lease in MariaDB.
    pub(crate) async fn wait_for_beats_in_mariadb(&self, user: &str, count: u64) -> Result<()> {
        let before = self.books.lease(user).await?.context("no lease")?;
        self.wait_until("MariaDB heard no heartbeats", async || {
            let now = self.books.lease(user).await?.context("no lease")?;
            ensure!(now.epoch == before.epoch && now.beat >= before.beat + count, "{before:?}, now {now:?}");
            Ok(())
        })
        .await
    }

    /// Waits for so many further heartbeats of this member in Redis.
    pub(crate) async fn wait_for_beats_in_redis(&self, member: &str, count: u64) -> Result<()> {
        let before = self.keys.beat(member).await?.unwrap_or(0);
        self.wait_until("Redis heard no heartbeats", async || {
            let now = self.keys.beat(member).await?.unwrap_or(0);
            ensure!(now >= before + count, "{before}, now {now}");
            Ok(())
        })
        .await
    }

    /// The child that runs for a user, with its guard, which is of the program for that.
    pub(crate) async fn child_of(&self, user: &str) -> Result<Child> {
        let id = self.books.row(user).await?.id;
        let child = self.children.of_row(id).with_context(|| format!("nothing runs for {user}"))?;
        let program = child.guard.program().with_context(|| format!("the guard of {user}"))?;
        ensure!(program.ends_with("dmf-guard"), "guarded by {}", program.display());
        Ok(child)
    }

    /// How many connections there were when a user's first one was opened, this one included.
    pub(crate) fn open_at_begin(&self, user: &str) -> Result<usize> {
        let events = self.host.proxy.events();
        let named = |kind| events.iter().find(|e| e.kind == kind && e.user.as_deref() == Some(user));
        let conn = named(EventKind::User).context("never connected")?.conn;
        let opened = events.iter().find(|event| event.kind == EventKind::Open && event.conn == conn);
        Ok(opened.context("never opened")?.open)
    }

    pub(crate) async fn cancel(&self, user: &str) -> Result<u16> {
        let path = format!("/users/{user}/migrations/latest/cancel");
        Ok(self.customer.request(Method::POST, &path, None).await?.status)
    }

    /// Every user's migration succeeds, and all the mail is there.
    pub(crate) async fn expect_success(&self, truths: &BTreeMap<String, Seeded>) -> Result<()> {
        self.host.proxy.stall(false);
        for (user, truth) in truths {
            self.customer.wait_for(user, "SUCCESS").await?;
            self.fleet.expect_mail(user, truth).await?;
        }
        Ok(())
    }

    /// Whatever happened to this user's worker, nobody noticed: one run, no loss.
    pub(crate) async fn expect_undisturbed(&self, user: &str) -> Result<()> {
        let row = self.books.row(user).await?;
        ensure!((row.attempt, row.losses) == (1, 0), "{row:?}");
        Ok(())
    }

    async fn expect_end(&self) -> Result<()> {
        expect_quiet(&self.books, &self.keys, &self.children, &self.witness).await?;
        self.witness.expect_nothing()?;
        let (most, limit) = (self.host.proxy.max_open(), self.host.limit);
        ensure!(most <= limit, "the source saw {most} connections, its limit is {limit}");
        let overlaps = self.host.proxy.overlaps();
        ensure!(overlaps.is_empty(), "users had several connections: {overlaps:?}");
        Ok(())
    }
}
