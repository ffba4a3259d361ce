//! Source hosts and users of the simulation, by the API as its customers do it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

use super::{hosts::Host, runs};
use crate::stage::{SOURCE, Stage, TARGET};

/// Requests at a time.
const STREAMS: usize = 4;
/// Users of one bulk submit.
const BULK: usize = 20_000;
/// Longest time that the relays may take for what is left then, and time between two looks.
const RELAY_LIMIT: Duration = Duration::from_mins(15);
const LOOK: Duration = Duration::from_millis(100);

/// Creates the hosts.
pub(super) async fn create_hosts(stage: &Stage, hosts: &[Host]) -> Result<()> {
    let path = format!("/sources/{SOURCE}/sourcehosts");
    let path = path.as_str();
    stream::iter((0_u32..).zip(hosts))
        .map(async |(number, host)| {
            let body = json!({
                "name": name(number),
                "maxConnections": host.limit,
                "migrationCommand1": { "name": "ignore" },
            });
            stage.fleet.api().admin(Method::POST, path, Some(&body)).await?.expect(201)
        })
        .buffer_unordered(STREAMS)
        .try_for_each(async |_| Ok(()))
        .await
}

fn name(host: u32) -> String {
    format!("imap{host:04}.example")
}

/// Whether migrations of the Source may start.
pub(super) async fn allow(stage: &Stage, whether: bool) -> Result<()> {
    let path = format!("/sources/{SOURCE}/{}", if whether { "resume" } else { "pause" });
    stage.fleet.api().admin(Method::PUT, &path, None).await?.expect(200)?;
    Ok(())
}

/// Submits a user for each of these hosts by bulk, and waits until the relays have carried all of it into Redis.
pub(super) async fn submit(stage: &Stage, kind: &str, hosts: &[u32]) -> Result<()> {
    let bulks = hosts.chunks(BULK).zip((0..).step_by(BULK));
    let created = stream::iter(bulks)
        .map(async |(hosts, first)| {
            let lines: String =
                (first..).zip(hosts).map(|(number, host)| line(kind, number, *host)).collect();
            let answer = stage.fleet.api().bulk_text(stage.customer.key(), lines).await?;
            anyhow::Ok(answer.lines().filter(|line| line.contains("\"CREATED\"")).count())
        })
        .buffer_unordered(STREAMS)
        .try_fold(0, async |sum, created| Ok(sum + created))
        .await?;
    ensure!(created == hosts.len(), "{created} of {} were created", hosts.len());
    wait_for_relays(stage).await
}

/// Waits until the outbox is empty. Asks seldom: to count a full one costs something.
async fn wait_for_relays(stage: &Stage) -> Result<()> {
    let mut database = MySqlConnection::connect(&stage.fleet.database_url()).await?;
    let deadline = Instant::now() + RELAY_LIMIT;
    loop {
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&mut database).await?;
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} entries are left in the outbox after {RELAY_LIMIT:?}");
        tokio::time::sleep(LOOK).await;
    }
}

fn line(kind: &str, number: u32, host: u32) -> String {
    let uid = runs::user(kind, number);
    let body = json!({
        "sourceUid": uid,
        "targetUid": uid,
        "target": TARGET,
        "sourcehost": name(host),
        "email": uid,
        "password": "sixteen-letters!",
        "phase": "PRE_SYNC",
    });
    format!("{body}\n")
}

/// Gives every worker other threads. By the database and not by the API: it is a change of the simulation, and the
/// next heartbeat brings it.
pub(super) async fn set_threads(stage: &Stage, threads: u32) -> Result<()> {
    let mut database = MySqlConnection::connect(&stage.fleet.database_url()).await?;
    let set = format!("UPDATE backends SET configured_threads = {threads}");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut database).await?;
    Ok(())
}

/// What the database says of all migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Books {
    /// All there are.
    pub(super) records: u64,
    /// Those that ended well, and the users of these.
    pub(super) succeeded: u64,
    pub(super) users: u64,
    /// Those that were claimed more than once.
    pub(super) claimed_again: u64,
    /// Leases that are left.
    pub(super) leases: u64,
}

/// Reads them.
pub(super) async fn read_books(stage: &Stage) -> Result<Books> {
    let mut database = MySqlConnection::connect(&stage.fleet.database_url()).await?;
    let (records, succeeded, users, claimed_again, leases) = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT CAST(COUNT(*) AS UNSIGNED), CAST(COALESCE(SUM(status = 'SUCCESS'), 0) AS UNSIGNED),
             CAST(COUNT(DISTINCT IF(status = 'SUCCESS', user_id, NULL)) AS UNSIGNED),
             CAST(COALESCE(SUM(epoch <> 1), 0) AS UNSIGNED),
             CAST((SELECT COUNT(*) FROM leases) AS UNSIGNED)
         FROM journal{SOURCE}"
    )))
    .fetch_one(&mut database)
    .await?;
    Ok(Books { records, succeeded, users, claimed_again, leases })
}
