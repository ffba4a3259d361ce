//! This queue as it is: submits and relay of the scheduler over MariaDB, backend, claims and finishes of the
//! worker. Only the migration is left out: a job sleeps, or does nothing.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use apalis::prelude::{BoxDynError, Data, WorkerBuilder, WorkerBuilderExt as _, WorkerError};
use dmf_scheduler::{rebuild, relay};
use dmf_shared::batcher::Batcher;
use dmf_shared::domain::command::Command;
use dmf_shared::domain::ids::{HostId, TargetId};
use dmf_shared::domain::migration::{Phase, Status};
use dmf_shared::queue::{Backend, BackendOptions, Queue};
use dmf_shared::store::{
    BackendState, Counts, Finish, Finished, Holder, NewSourcehost, Options, Registration, Source, Store,
    Submission, UserFields,
};
use dmf_worker::held::{Held, Table};
use dmf_worker::lessor::Claimant;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Job, OWN_VERSION, Produce, Settings, connect, host_of, hosts, say_ready};
use crate::store;

const DATABASE: &str = "peers";
const TARGET: &str = "default";
/// Rows of one transaction of a bulk submit, as the API makes them.
const BATCH: u64 = 500;
/// Bulk submits at a time.
const STREAMS: usize = 4;
/// Connections of a worker or a scheduler.
const CONNECTIONS: u32 = 40;
/// Time between two looks at whether something has come about.
const LOOK: Duration = Duration::from_millis(10);
/// How long the relay may take for what is left of a backlog.
const RELAY_LIMIT: Duration = Duration::from_mins(3);
/// How long a rebuild may take.
const REBUILD_LIMIT: Duration = Duration::from_mins(5);
/// As of the worker.
const VISIBILITY: Duration = Duration::from_secs(30);
/// As of the worker.
const POLL: Duration = Duration::from_secs(5);
/// As of the worker.
const LEASE: Duration = Duration::from_secs(45);
/// As of the worker.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);

fn options(settings: &Settings) -> Result<Options> {
    let database = &settings.mariadb;
    store::options(&database.jdbc, &database.user, &database.password, CONNECTIONS)
}

/// Submits and relays, as a scheduler does.
#[derive(Debug)]
pub(super) struct Filler {
    store: Store,
    queue: Queue,
    settings: Settings,
    source: Source,
    target: TargetId,
    first_host: HostId,
    wake: Arc<Notify>,
}

impl Filler {
    /// Makes the database, builds the queues and starts a relay.
    pub(super) async fn new(settings: &Settings) -> Result<Self> {
        let mut database = MySqlConnection::connect(&settings.mariadb.url).await?;
        let anew = format!("DROP DATABASE IF EXISTS {DATABASE}; CREATE DATABASE {DATABASE}");
        sqlx::raw_sql(AssertSqlSafe(anew)).execute(&mut database).await?;
        let store = Store::connect_lazily(&options(settings)?);
        store.migrate().await?;
        let target = store.create_target(TARGET).await?.id;
        let source = store.create_source(&"Load".parse()?, [1; 32]).await?;
        let first_host = make_hosts(&store, &source, settings).await?;
        let queue = connect(settings)?;
        ensure!(rebuild::run(&store, &queue).await?, "Redis is not empty");
        let wake = Arc::new(Notify::new());
        // Ends with the process.
        tokio::spawn(relay::run(store.clone(), queue.clone(), Arc::clone(&wake), CancellationToken::new()));
        Ok(Self { store, queue, settings: settings.clone(), source, target, first_host, wake })
    }

    fn submission(&self, id: u64) -> Result<Submission> {
        let uid = id.to_string();
        let host = HostId(self.first_host.0 + host_of(&self.settings, id)?);
        Ok(Submission {
            source_uid: uid.clone(),
            user: UserFields {
                target_uid: Some(uid),
                target: Some(self.target),
                sourcehost: Some(host),
                ..UserFields::default()
            },
            phase: Phase::PreSync,
            priority: false,
            not_before: None,
            force: false,
            trace: None,
            noted: None,
        })
    }

    async fn submit(&self, ids: Range<u64>) -> Result<u64> {
        let batch = ids.map(|id| self.submission(id)).collect::<Result<Vec<_>>>()?;
        let answers = self.store.submit_batch(&self.source, &batch, false).await?;
        ensure!(answers.iter().all(Result::is_ok), "a submission was refused");
        self.wake.notify_one();
        Ok(answers.len() as u64)
    }
}

/// The source hosts, whose ids follow each other; gives the first.
async fn make_hosts(store: &Store, source: &Source, settings: &Settings) -> Result<HostId> {
    let (count, limit) = hosts(settings);
    let new = NewSourcehost {
        name: "imap0.example".to_owned(),
        port: None,
        max_connections: limit,
        reserved_for_priority: 0,
        migration_command1: Command::named("ignore"),
        migration_command2: None,
        status_command: None,
    };
    let first = store.create_sourcehost(source.id, &new).await?;
    if count > 1 {
        // One statement for all of them: each alone would take a commit.
        let mut database = MySqlConnection::connect(&format!("{}{DATABASE}", settings.mariadb.url)).await?;
        let copies = format!(
            "INSERT INTO sourcehosts (source_id, name, max_connections, reserved_for_priority, migration_command1,
                 created, modified)
             SELECT h.source_id, CONCAT('imap', s.seq, '.example'), h.max_connections, h.reserved_for_priority,
                 h.migration_command1, h.created, h.modified
             FROM sourcehosts h, seq_1_to_{} s ORDER BY s.seq",
            count - 1
        );
        sqlx::raw_sql(AssertSqlSafe(copies)).execute(&mut database).await?;
        let ids: (u32, u32) =
            sqlx::query_as("SELECT MIN(id), MAX(id) FROM sourcehosts").fetch_one(&mut database).await?;
        ensure!(ids == (first.0, first.0 + count - 1), "ids of hosts have gaps: {ids:?}");
    }
    Ok(first)
}

impl Filler {
    /// Waits until the outbox is empty.
    async fn wait_for_relay(&self) -> Result<()> {
        let mut database =
            MySqlConnection::connect(&format!("{}{DATABASE}", self.settings.mariadb.url)).await?;
        let deadline = Instant::now() + RELAY_LIMIT;
        loop {
            let left: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&mut database).await?;
            if left == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{left} entries are left in the outbox");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Produce for Filler {
    async fn one(&self, id: u64) -> Result<()> {
        self.store.submit(&self.source, &self.submission(id)?).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Until the relay has carried all of it into Redis.
    async fn fill(&self, first: u64, count: u64, limit: Duration) -> Result<u64> {
        let begun = Instant::now();
        let batches = (0..count).step_by(usize::try_from(BATCH)?).take_while(|_| begun.elapsed() < limit);
        let filled = stream::iter(batches)
            .map(|from| self.submit(first + from..first + count.min(from + BATCH)))
            .buffer_unordered(STREAMS)
            .try_fold(0, async |sum, batch| Ok(sum + batch))
            .await?;
        self.wait_for_relay().await?;
        Ok(filled)
    }

    async fn size(&self) -> Result<u64> {
        let mut database = MySqlConnection::connect(&self.settings.mariadb.url).await?;
        let size = "SELECT CAST(SUM(FILE_SIZE) AS UNSIGNED) FROM information_schema.INNODB_SYS_TABLESPACES
             WHERE NAME LIKE 'peers/%'";
        Ok(sqlx::query_scalar(size).fetch_one(&mut database).await?)
    }

    /// The relay finds the loss and rebuilds, as in every scheduler.
    async fn wait_until_built(&self) -> Result<()> {
        let deadline = Instant::now() + REBUILD_LIMIT;
        // While Redis can't be asked, nothing is rebuilt either.
        while !self.queue.is_built().await.unwrap_or(false) {
            ensure!(Instant::now() < deadline, "the queues were not rebuilt");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

struct Hands {
    claimant: Arc<Claimant>,
    job: Job,
}

/// What the worker does around a migration, in its order.
async fn handle(held: Arc<Held>, hands: Data<Arc<Hands>>) -> Result<(), BoxDynError> {
    let (claimant, claimed) = (&hands.claimant, &held.claimed);
    hands.job.run(claimed.user.source_uid.parse()?).await?;
    held.begin_end();
    let finish = Finish {
        status: Status::Success,
        details: json!([]),
        counts: Counts::default(),
        verification: None,
        attempt: 1,
    };
    let finished = claimant.finish(&held, &finish).await?;
    if finished != Finished::Recorded {
        return Err(format!("{} is {finished:?}", held.name()).into());
    }
    claimant.table.remove(&held);
    claimant.release(&held).await;
    Ok(())
}

async fn claimant(settings: &Settings, wake: &Arc<Notify>) -> Result<Claimant> {
    let store = Store::connect_lazily(&options(settings)?);
    let worker = Registration {
        target: TARGET.to_owned(),
        name: "worker".to_owned(),
        incarnation: uuid::Uuid::new_v4(),
        machine: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        initial_state: BackendState::Running,
        threads: settings.concurrency,
        lease_deadline: LEASE,
    };
    let backend = store.register_backend(&worker, None).await?.context("the name is taken")?;
    let table = Arc::new(Table::new(settings.concurrency, 0, Arc::clone(wake)));
    table.set_state(BackendState::Running);
    Ok(Claimant {
        store,
        queue: connect(settings)?,
        holder: Holder {
            backend: backend.id,
            incarnation: backend.incarnation,
            target: backend.target_id,
            name: format!("{TARGET}/{}", backend.name),
        },
        table,
        lease: LEASE,
        claim_timeout: CLAIM_TIMEOUT,
        untold: Mutex::default(),
        results: Batcher::default(),
        releases: Batcher::default(),
    })
}

/// Works until `end`.
pub(super) async fn work(settings: &Settings, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let wake = Arc::new(Notify::new());
    let claimant = Arc::new(claimant(settings, &wake).await?);
    let hands = Hands { claimant: Arc::clone(&claimant), job: Job::new(settings)? };
    let options = BackendOptions { target: claimant.holder.target, visibility: VISIBILITY, poll: POLL };
    let worker = WorkerBuilder::new("worker")
        .backend(Backend::new(claimant.queue.clone(), options, claimant, wake))
        .data(Arc::new(hands))
        .concurrency(usize::try_from(settings.concurrency)?)
        .build(handle);
    say_ready(OWN_VERSION);
    let stop = async move {
        end.await;
        Ok::<(), WorkerError>(())
    };
    Ok(worker.run_until(stop).boxed().await?)
}
