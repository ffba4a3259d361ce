//! How long a rebuild takes after Redis has lost everything, and what a waiting migration costs in Redis.
//!
//! `cargo bench -p dmf-scheduler --bench rebuild [-- ROWS]`: a MariaDB and a Redis of its own, ROWS (a million by
//! default) waiting migrations of four Sources on twenty source hosts, some with priority, some delayed, and
//! submits that go on meanwhile. Prints one line.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use dmf_lab::Lab;
use dmf_scheduler::{rebuild, relay};
use dmf_shared::{
    config::{DataSource, Environment, Reader, Sources},
    domain::{command::Command, ids::HostId, migration::Phase},
    queue::{self, Free, Queue},
    store::{NewSourcehost, Options, Source, Store, Submission, UserFields},
};
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};
use tokio_util::sync::CancellationToken;

const DATABASE: &str = "rebuild";
const SOURCES: u64 = 4;
const HOSTS_OF_A_SOURCE: u64 = 5;
/// The goal, for as many rows.
const GOAL: (u64, Duration) = (1_000_000, Duration::from_secs(20));

struct Stage {
    lab: Lab,
    store: Store,
    queue: Queue,
    redis: MultiplexedConnection,
}

async fn start() -> anyhow::Result<Stage> {
    let lab = Lab::builder().mariadb().redis().start().await?;
    let url = lab.mariadb().jdbc_url(&format!("{DATABASE}?createDatabaseIfNotExist=true"));
    let (user, password) = (lab.mariadb().user(), lab.mariadb().password());
    let text = format!("datasources.default: {{url: '{url}', username: {user}, password: {password}}}");
    let properties = Sources::default().load_text(&text, Environment::from_variables([("", ""); 0]))?;
    let source =
        DataSource::read(&mut Reader::new(&properties), "datasources.default").context("settings")?;
    let options = Options::from(&source);
    Store::create_database(&options).await?;
    let store = Store::connect_lazily(&options);
    store.migrate().await?;
    let queue = Queue::connect_lazily(&queue::Options::at(lab.redis().url()))?;
    let redis = redis::Client::open(lab.redis().url())?.get_multiplexed_async_connection().await?;
    Ok(Stage { lab, store, queue, redis })
}

/// Sources with their hosts, and so many waiting rows in all.
async fn seed(stage: &Stage, rows: u64) -> anyhow::Result<(Source, HostId)> {
    let mut database = MySqlConnection::connect(&stage.lab.mariadb().url(DATABASE)).await?;
    sqlx::raw_sql("INSERT INTO targets (name, created) VALUES ('default', UTC_TIMESTAMP(3))")
        .execute(&mut database)
        .await?;
    let mut last = None;
    for n in 0..SOURCES {
        let name = format!("Source{n}");
        let source = stage.store.create_source(&name.parse()?, [u8::try_from(n)?; 32]).await?;
        let mut first = None;
        for host in 0..HOSTS_OF_A_SOURCE {
            let new = NewSourcehost {
                name: format!("imap{host}.example"),
                port: None,
                max_connections: 100,
                reserved_for_priority: 0,
                migration_command1: Command::named("ignore"),
                migration_command2: None,
                status_command: None,
            };
            let id = stage.store.create_sourcehost(source.id, &new).await?;
            first = first.or(Some(id));
        }
        let first = first.context("a host")?;
        let statement = format!(
            "INSERT INTO journal{name} (user_id, sourcehost_id, target_id, status, phase, priority, not_before, created, modified)
             SELECT seq, {first} + seq MOD {HOSTS_OF_A_SOURCE}, 1, 'SCHEDULED', 'PRE_SYNC', seq MOD 20 = 0,
                 IF(seq MOD 50 = 0, UTC_TIMESTAMP(3) + INTERVAL 1 DAY, NULL), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3)
             FROM seq_1_to_{}",
            rows / SOURCES
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database).await?;
        last = Some((source, first));
    }
    last.context("a Source")
}

async fn used_memory(stage: &mut Stage) -> anyhow::Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut stage.redis).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("used_memory")?;
    Ok(used.trim().parse()?)
}

/// Submits until it is told to stop; gives how many.
async fn submit_on(
    store: &Store,
    source: &Source,
    host: HostId,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let target = store.target_by_name("default").await?.context("the target")?.id;
    let mut submitted = 0;
    while !stop.is_cancelled() {
        let uid = format!("late{submitted}");
        let submission = Submission {
            source_uid: uid.clone(),
            user: UserFields {
                target_uid: Some(uid),
                target: Some(target),
                sourcehost: Some(host),
                ..UserFields::default()
            },
            phase: Phase::PreSync,
            priority: false,
            not_before: None,
            force: false,
            trace: None,
            noted: None,
        };
        store.submit(source, &submission).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        submitted += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(submitted)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `cargo bench` adds its own option.
    let rows = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(GOAL.0);
    let mut stage = start().await?;
    let (source, host) = seed(&stage, rows).await?;
    let empty = used_memory(&mut stage).await?;
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let rebuild = async {
        let rebuilt = rebuild::run(&stage.store, &stage.queue).await;
        let took = begun.elapsed();
        stop.cancel();
        anyhow::Ok((rebuilt?, took))
    };
    // Users of the last Source begin where the seeded ones end.
    let mut database = MySqlConnection::connect(&stage.lab.mariadb().url(DATABASE)).await?;
    let users = format!("ALTER TABLE usersSource{} AUTO_INCREMENT = {}", SOURCES - 1, rows + 1);
    sqlx::raw_sql(AssertSqlSafe(users)).execute(&mut database).await?;
    let (rebuilt, submitted) = tokio::join!(rebuild, submit_on(&stage.store, &source, host, &stop));
    let ((rebuilt, took), submitted) = (rebuilt?, submitted?);
    ensure!(rebuilt, "somebody else rebuilt the queue");
    let bytes = used_memory(&mut stage).await? - empty;
    relay::relay_all(&stage.store, &stage.queue).await?;
    let mut waiting: u64 = redis::cmd("ZCARD").arg("{dmf}:delayed:1").query_async(&mut stage.redis).await?;
    let queues: Vec<String> = redis::cmd("KEYS").arg("{dmf}:q:*").query_async(&mut stage.redis).await?;
    for queue in queues {
        waiting += redis::cmd("ZCARD").arg(queue).query_async::<u64>(&mut stage.redis).await?;
    }
    ensure!(waiting == rows + submitted, "{waiting} wait instead of {rows} and {submitted}");
    let free = Free { total: 100, normal: 100 };
    let target = stage.store.target_by_name("default").await?.context("the target")?.id;
    let proposed = stage.queue.propose(target, free, Duration::from_mins(1)).await?.jobs.len();
    ensure!(proposed == 100, "{proposed} are proposed");
    println!(
        "rebuild: {rows} rows in {:.1} s ({:.0} a second), {} bytes of Redis a waiting job, {submitted} submits meanwhile",
        took.as_secs_f64(),
        count(rows) / took.as_secs_f64(),
        bytes / rows,
    );
    Ok(())
}

/// Exact below 2^53.
#[allow(clippy::cast_precision_loss, reason = "a number of rows")]
fn count(rows: u64) -> f64 {
    rows as f64
}
