//! The claim: what Redis proposed becomes a lease, or is refused. One transaction for a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use sqlx::{FromRow as _, MySqlConnection, Row as _};
use uuid::Uuid;

use super::{
    Error, Result, Source, Sourcehost, Store,
    error::expect_rows,
    outbox::or_none,
    sourcehosts,
    tables::{Tables, placeholders},
    users,
};
use crate::domain::{
    ids::{BackendId, Epoch, HostId, JobId, JournalId, SourceId, UserId},
    migration::{Event, Phase, Status, transition},
    user::User,
};

/// Who claims.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The worker's row.
    pub backend: BackendId,
    /// Its process.
    pub incarnation: Uuid,
    /// `target/worker`, for the record.
    pub name: String,
}

/// One proposal of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The migration.
    pub job: JobId,
    /// The source host whose slot the queue took for it.
    pub host: HostId,
}

/// Why a proposal was refused, and so what the queue does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The row does not wait for a worker (any more), or is gone, or belongs to another host: the
    /// queue drops it.
    NotWaiting,
    /// The host has no room or is paused or suspended: the queue keeps it, and the host leaves its
    /// rings until something changes.
    Blocked,
    /// Its time has not come, or a child of an earlier migration of this user may still live: the
    /// queue delays it by so many milliseconds.
    TooEarly {
        /// Milliseconds to wait, by the database's clock.
        wait_ms: u64,
    },
}

/// A migration that this worker holds now, with everything that is needed to run it.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a column of the row")]
pub struct Claimed {
    /// The migration.
    pub job: JobId,
    /// The fencing token of this claim.
    pub epoch: Epoch,
    /// Its Source.
    pub source: Source,
    /// Its user.
    pub user: User,
    /// Its source host with the commands.
    pub host: Sourcehost,
    /// What it is for.
    pub phase: Phase,
    /// Whether it went first.
    pub priority: bool,
    /// Whether guards against overwriting mail are overridden.
    pub forced: bool,
    /// Attempts of the sync command in earlier claims.
    pub attempt: u32,
    /// How often a worker was lost with it.
    pub losses: u32,
    /// Whether its pre command had started in an earlier claim.
    pub pre_started: bool,
    /// Whether its post command had started in an earlier claim: the copy was complete then.
    pub post_started: bool,
    /// Only its failure command is to run; then it gets this end state.
    pub cleanup: Option<Status>,
    /// What earlier claims left: blocks of `details` that stay.
    pub loss_blocks: Vec<Value>,
    /// How long ago it was first claimed, in milliseconds: time in the backlog does not count.
    pub age_ms: u64,
    /// How long it waited between its submission and this claim, in milliseconds.
    pub waited_ms: u64,
}

/// The answer to one [`ClaimRequest`].
#[derive(Debug, Clone)]
pub enum Decision {
    /// It is this worker's.
    Granted(Box<Claimed>),
    /// It is not.
    Refused(JobId, Refusal),
}

/// A user whose earlier migration was closed keeps its lease until the child is dead; one user must
/// not block a host, so its next migration waits by itself.
const USER_LEASED_WAIT_MS: u64 = 2_000;

struct Admission {
    host: Sourcehost,
    open: bool,
    room: u32,
}

#[allow(clippy::struct_excessive_bools, reason = "each is a column of the row")]
struct Row {
    id: JournalId,
    user: UserId,
    host: HostId,
    status: Status,
    phase: Phase,
    priority: bool,
    forced: bool,
    epoch: Epoch,
    attempt: u32,
    losses: u32,
    wait_ms: i64,
    waited_ms: i64,
    age_ms: i64,
    user_leased: bool,
    loss_blocks: Vec<Value>,
    pre_started: bool,
    post_started: bool,
    cleanup: Option<Status>,
}

impl Store {
    /// Claims what may be claimed of `requests` and answers every one of them, in no given order.
    /// `Unavailable` may mean that the commit went through: the next read-back of the heartbeat shows
    /// leases that the worker does not know, and it hands them back.
    pub async fn claim(&self, holder: &Holder, requests: &[ClaimRequest]) -> Result<Vec<Decision>> {
        super::retry_contended(|| self.claim_once(holder, requests)).await
    }

    async fn claim_once(&self, holder: &Holder, requests: &[ClaimRequest]) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(requests.len());
        let mut tx = self.begin().await?;
        let sources = read_sources(&mut tx).await?;
        let mut hosts = lock_hosts(&mut tx, requests).await?;
        let mut by_source: BTreeMap<SourceId, Vec<ClaimRequest>> = BTreeMap::new();
        for request in requests {
            by_source.entry(request.job.source).or_default().push(*request);
        }
        for (id, requests) in by_source {
            let Some(source) = sources.get(&id) else {
                decisions.extend(requests.iter().map(|r| Decision::Refused(r.job, Refusal::NotWaiting)));
                continue;
            };
            claim_of_source(&mut tx, holder, source, &requests, &mut hosts, &mut decisions).await?;
        }
        tx.commit().await?;
        Ok(decisions)
    }
}

async fn read_sources(connection: &mut MySqlConnection) -> Result<HashMap<SourceId, Source>> {
    let sources: Vec<Source> =
        sqlx::query_as("SELECT id, name, paused FROM sources").fetch_all(connection).await?;
    Ok(sources.into_iter().map(|source| (source.id, source)).collect())
}

/// Locks the hosts in the order of their ids and counts their leases: the truth about use.
async fn lock_hosts(
    connection: &mut MySqlConnection,
    requests: &[ClaimRequest],
) -> Result<HashMap<HostId, Admission>> {
    let ids: BTreeSet<HostId> = requests.iter().map(|request| request.host).collect();
    let marks = placeholders(ids.len(), 1);
    let statement = format!(
        "SELECT {}, NOT (h.paused OR COALESCE(h.suspended_until > UTC_TIMESTAMP(3), FALSE)) AS open
         FROM sourcehosts h WHERE h.id IN ({marks}) ORDER BY h.id FOR UPDATE",
        sourcehosts::COLUMNS
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(ids.len() == 1);
    for id in &ids {
        query = query.bind(id.0);
    }
    let mut hosts = HashMap::new();
    for row in query.fetch_all(&mut *connection).await? {
        let host = Sourcehost::from_row(&row)?;
        let room = host.definition.max_connections;
        hosts.insert(host.id, Admission { host, open: row.try_get("open")?, room });
    }
    let statement = format!(
        "SELECT sourcehost_id, COUNT(*) FROM leases WHERE sourcehost_id IN ({marks}) GROUP BY sourcehost_id"
    );
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(statement)).persistent(ids.len() == 1);
    for id in &ids {
        query = query.bind(id.0);
    }
    let in_use: Vec<(u32, i64)> = query.fetch_all(connection).await?;
    for (id, leases) in in_use {
        if let Some(host) = hosts.get_mut(&HostId(id)) {
            host.room = host.room.saturating_sub(u32::try_from(leases).unwrap_or(u32::MAX));
        }
    }
    Ok(hosts)
}

async fn claim_of_source(
    connection: &mut MySqlConnection,
    holder: &Holder,
    source: &Source,
    requests: &[ClaimRequest],
    hosts: &mut HashMap<HostId, Admission>,
    decisions: &mut Vec<Decision>,
) -> Result<()> {
    let tables = Tables::of(&source.name);
    let rows = lock_rows(connection, source, &tables, requests).await?;
    let mut granted = Vec::new();
    for request in requests {
        let row = rows.get(&request.job.journal);
        match admit(source, request, row, hosts.get_mut(&request.host)) {
            Ok(row) => granted.push(row),
            Err(refusal) => decisions.push(Decision::Refused(request.job, refusal)),
        }
    }
    if granted.is_empty() {
        return Ok(());
    }
    mark_running(connection, holder, &tables, &granted).await?;
    insert_leases(connection, holder, source, &granted).await?;
    let mut users = read_users(connection, &tables, &granted).await?;
    for row in granted {
        let user =
            users.remove(&row.user).ok_or(Error::Inconsistent { table: "journal", column: "user_id" })?;
        let host = &hosts[&row.host].host;
        decisions.push(Decision::Granted(Box::new(Claimed {
            job: JobId { source: source.id, journal: row.id },
            epoch: Epoch(row.epoch.0 + 1),
            source: source.clone(),
            user,
            host: host.clone(),
            phase: row.phase,
            priority: row.priority,
            forced: row.forced,
            attempt: row.attempt,
            losses: row.losses,
            loss_blocks: row.loss_blocks.clone(),
            pre_started: row.pre_started,
            post_started: row.post_started,
            cleanup: row.cleanup,
            age_ms: row.age_ms.max(0).unsigned_abs(),
            waited_ms: row.waited_ms.max(0).unsigned_abs(),
        })));
    }
    Ok(())
}

/// Decides one request; takes one of the host's places when it is admitted.
fn admit<'r>(
    source: &Source,
    request: &ClaimRequest,
    row: Option<&'r Row>,
    host: Option<&mut Admission>,
) -> Result<&'r Row, Refusal> {
    let (Some(row), Some(host)) = (row, host) else { return Err(Refusal::NotWaiting) };
    if transition(row.status, Event::Claim, false).is_err() || row.host != request.host {
        return Err(Refusal::NotWaiting);
    }
    if row.wait_ms > 0 {
        return Err(Refusal::TooEarly { wait_ms: row.wait_ms.unsigned_abs() });
    }
    if row.user_leased {
        return Err(Refusal::TooEarly { wait_ms: USER_LEASED_WAIT_MS });
    }
    if source.paused || !host.open || host.room == 0 {
        return Err(Refusal::Blocked);
    }
    host.room -= 1;
    Ok(row)
}

async fn lock_rows(
    connection: &mut MySqlConnection,
    source: &Source,
    tables: &Tables,
    requests: &[ClaimRequest],
) -> Result<HashMap<JournalId, Row>> {
    let statement = format!(
        "{} WHERE id IN ({}) ORDER BY id FOR UPDATE",
        tables.text(
            "SELECT id, user_id, sourcehost_id, status, phase, priority, forced, epoch, attempt, losses, details, pre_started, post_started,
                 cleanup,
                 CAST(COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), not_before), 0) AS SIGNED) AS wait_us,
                 CAST(TIMESTAMPDIFF(MICROSECOND, GREATEST(created, COALESCE(not_before, created)),
                      UTC_TIMESTAMP(3)) AS SIGNED) AS waited_us,
                 CAST(TIMESTAMPDIFF(MICROSECOND, COALESCE(started, UTC_TIMESTAMP(3)), UTC_TIMESTAMP(3)) AS SIGNED) AS age_us
             FROM {journal}"
        ),
        placeholders(requests.len(), 1)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(requests.len() == 1);
    for request in requests {
        query = query.bind(request.job.journal.0);
    }
    let mut rows = HashMap::new();
    for row in or_none(query.fetch_all(&mut *connection).await)? {
        let (status, phase): (String, String) = (row.try_get("status")?, row.try_get("phase")?);
        let (wait_us, waited_us): (i64, i64) = (row.try_get("wait_us")?, row.try_get("waited_us")?);
        let row = Row {
            id: JournalId(row.try_get("id")?),
            user: UserId(row.try_get("user_id")?),
            host: HostId(row.try_get("sourcehost_id")?),
            status: Status::parse(&status)
                .ok_or(Error::Inconsistent { table: "journal", column: "status" })?,
            phase: Phase::parse(&phase).ok_or(Error::Inconsistent { table: "journal", column: "phase" })?,
            priority: row.try_get("priority")?,
            forced: row.try_get("forced")?,
            epoch: Epoch(row.try_get("epoch")?),
            attempt: row.try_get("attempt")?,
            losses: row.try_get("losses")?,
            // Rounded up: a delay that ends early would be proposed and refused again.
            wait_ms: wait_us / 1000 + i64::from(wait_us % 1000 > 0),
            waited_ms: waited_us / 1000,
            age_ms: row.try_get::<i64, _>("age_us")? / 1000,
            user_leased: false,
            loss_blocks: loss_blocks(row.try_get("details")?)?,
            pre_started: row.try_get("pre_started")?,
            post_started: row.try_get("post_started")?,
            cleanup: row.try_get::<Option<String>, _>("cleanup")?.as_deref().and_then(Status::parse),
        };
        rows.insert(row.id, row);
    }
    mark_leased_users(connection, source.id, &mut rows).await?;
    Ok(rows)
}

/// A row that waits has no other blocks than those of losses: results are only written at the end.
fn loss_blocks(details: Option<String>) -> Result<Vec<Value>> {
    details.map_or(Ok(Vec::new()), |text| {
        serde_json::from_str(&text).map_err(|_| Error::Inconsistent { table: "journal", column: "details" })
    })
}

async fn mark_leased_users(
    connection: &mut MySqlConnection,
    source: SourceId,
    rows: &mut HashMap<JournalId, Row>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "SELECT user_id FROM leases WHERE source_id = ? AND user_id IN ({})",
        placeholders(rows.len(), 1)
    );
    let mut query =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).persistent(rows.len() == 1).bind(source.0);
    for row in rows.values() {
        query = query.bind(row.user.0);
    }
    let leased: Vec<u64> = query.fetch_all(connection).await?;
    for row in rows.values_mut() {
        row.user_leased = leased.contains(&row.user.0);
    }
    Ok(())
}

async fn mark_running(
    connection: &mut MySqlConnection,
    holder: &Holder,
    tables: &Tables,
    granted: &[&Row],
) -> Result<()> {
    let statement = format!(
        "{} WHERE status = 'SCHEDULED' AND id IN ({})",
        tables.text(
            "UPDATE {journal} SET status = 'SYNC', epoch = epoch + 1, backend = ?, cancel_requested = FALSE,
                 started = COALESCE(started, UTC_TIMESTAMP(3)), modified = UTC_TIMESTAMP(3)"
        ),
        placeholders(granted.len(), 1)
    );
    let mut query =
        sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(granted.len() == 1).bind(&holder.name);
    for row in granted {
        query = query.bind(row.id.0);
    }
    let updated = query.execute(connection).await?;
    expect_rows("journal", granted.len() as u64, updated.rows_affected())
}

async fn insert_leases(
    connection: &mut MySqlConnection,
    holder: &Holder,
    source: &Source,
    granted: &[&Row],
) -> Result<()> {
    let groups = vec!["(?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))"; granted.len()].join(", ");
    let statement = format!(
        "INSERT INTO leases (source_id, journal_id, user_id, sourcehost_id, backend_id, incarnation, epoch, claimed)
         VALUES {groups}"
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(granted.len() == 1);
    for row in granted {
        query = query
            .bind(source.id.0)
            .bind(row.id.0)
            .bind(row.user.0)
            .bind(row.host.0)
            .bind(holder.backend.0)
            .bind(holder.incarnation)
            .bind(row.epoch.0 + 1);
    }
    let inserted = query.execute(connection).await?;
    expect_rows("leases", granted.len() as u64, inserted.rows_affected())
}

async fn read_users(
    connection: &mut MySqlConnection,
    tables: &Tables,
    granted: &[&Row],
) -> Result<HashMap<UserId, User>> {
    let statement = format!(
        "SELECT {} {} WHERE u.id IN ({})",
        users::COLUMNS,
        tables.text("FROM {users} u"),
        placeholders(granted.len(), 1)
    );
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(statement)).persistent(granted.len() == 1);
    for row in granted {
        query = query.bind(row.user.0);
    }
    let users: Vec<User> = query.fetch_all(connection).await?;
    Ok(users.into_iter().map(|user| (user.id, user)).collect())
}
