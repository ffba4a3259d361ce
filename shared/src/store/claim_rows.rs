//! What a claim reads, and locks: source hosts in the order of their ids, then rows of the journal.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{FromRow, MySqlConnection, Row as _, mysql::MySqlRow};

use super::{
    Error, Result, Source, Sourcehost, Store,
    claim::{ClaimRequest, Claimed},
    outbox::or_none,
    pool::Transaction,
    sourcehosts,
    spelled::{Answer, Statement},
    tables::Tables,
    users,
};
use crate::domain::{
    ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId, UserId},
    migration::{Phase, Status},
    trace::TraceParent,
    user::User,
};

/// Longest wait for the lock of a row: whoever holds it for longer must not keep a worker from the jobs of
/// other hosts.
const LOCK_WAIT_SECS: u8 = 2;

/// A source host, and what it may still take.
pub(super) struct Admission {
    pub(super) host: Sourcehost,
    pub(super) open: bool,
    pub(super) room: u32,
}

impl FromRow<'_, MySqlRow> for Admission {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let host = Sourcehost::from_row(row)?;
        let room = host.definition.max_connections;
        Ok(Self { host, open: row.try_get("open")?, room })
    }
}

/// A row of the journal, locked.
#[allow(clippy::struct_excessive_bools, reason = "each is a column of the row")]
pub(super) struct Row {
    pub(super) id: JournalId,
    pub(super) user: UserId,
    pub(super) host: HostId,
    pub(super) target: TargetId,
    pub(super) status: Status,
    pub(super) phase: Phase,
    pub(super) priority: bool,
    pub(super) forced: bool,
    pub(super) epoch: Epoch,
    pub(super) attempt: u32,
    pub(super) losses: u32,
    pub(super) wait_ms: i64,
    pub(super) waited_ms: i64,
    pub(super) age_ms: i64,
    pub(super) user_leased: bool,
    pub(super) blocks: Vec<Value>,
    pub(super) carried: Option<Value>,
    pub(super) pre_started: bool,
    pub(super) post_started: bool,
    pub(super) cleanup: Option<Status>,
    pub(super) queued_ms: i64,
    pub(super) trace: Option<TraceParent>,
}

impl Row {
    /// What a worker is told of the migration that it holds under `epoch`.
    pub(super) fn claimed(&self, epoch: Epoch, source: &Source, user: User, host: &Sourcehost) -> Claimed {
        Claimed {
            job: JobId { source: source.id, journal: self.id },
            epoch,
            source: source.clone(),
            user,
            host: host.clone(),
            phase: self.phase,
            priority: self.priority,
            forced: self.forced,
            attempt: self.attempt,
            losses: self.losses,
            blocks: self.blocks.clone(),
            carried: self.carried.clone(),
            pre_started: self.pre_started,
            post_started: self.post_started,
            cleanup: self.cleanup,
            age_ms: self.age_ms.max(0).unsigned_abs(),
            waited_ms: self.waited_ms.max(0).unsigned_abs(),
            queued_ms: self.queued_ms.max(0).unsigned_abs(),
            trace: self.trace,
        }
    }
}

/// What every claim begins with.
pub(super) struct Begun {
    pub(super) hosts: HashMap<HostId, Admission>,
    pub(super) sources: HashMap<SourceId, Source>,
}

/// Locks the hosts in the order of their ids, then counts their leases, the truth about use, and reads the Sources:
/// the locks may have been waited for, and a pause that was answered meanwhile holds.
pub(super) async fn begin_claim(store: &Store, requests: &[ClaimRequest]) -> Result<(Transaction, Begun)> {
    let ids: BTreeSet<HostId> = requests.iter().map(|request| request.host).collect();
    let ids = || ids.iter().map(|id| id.0);
    let lock = Statement::new(format!(
        "SELECT {}, NOT (h.paused OR COALESCE(h.suspended_until > UTC_TIMESTAMP(3), FALSE)) AS open
         FROM sourcehosts h WHERE h.id IN ",
        sourcehosts::COLUMNS
    ))
    .list(ids())
    .sql(&format!(" ORDER BY h.id FOR UPDATE WAIT {LOCK_WAIT_SECS}"));
    let count = Statement::new("SELECT sourcehost_id, COUNT(*) FROM leases WHERE sourcehost_id IN ")
        .list(ids())
        .sql(" GROUP BY sourcehost_id");
    let read = Statement::new("SELECT id, name, paused FROM sources");
    let (tx, [_, hosts, in_use, sources]) = store.begin_with(&lock.then(&count).then(&read)).await?;
    let hosts: Vec<Admission> = hosts.read()?;
    let mut hosts: HashMap<HostId, Admission> = hosts.into_iter().map(|row| (row.host.id, row)).collect();
    for (id, leases) in in_use.read::<(u32, i64)>()? {
        if let Some(host) = hosts.get_mut(&HostId(id)) {
            host.room = host.room.saturating_sub(u32::try_from(leases).unwrap_or(u32::MAX));
        }
    }
    let sources: Vec<Source> = sources.read()?;
    let sources = sources.into_iter().map(|source| (source.id, source)).collect();
    Ok((tx, Begun { hosts, sources }))
}

pub(super) async fn lock_rows(
    connection: &mut MySqlConnection,
    source: &Source,
    tables: &Tables,
    requests: &[ClaimRequest],
) -> Result<HashMap<JournalId, Row>> {
    let ids = || requests.iter().map(|request| request.job.journal.0);
    let lock = Statement::new(
        tables.text(
            "SELECT id, user_id, sourcehost_id, target_id, status, phase, priority, forced, epoch, attempt, losses, details, carried, pre_started, post_started,
                 cleanup, trace,
                 CAST(COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), not_before), 0) AS SIGNED) AS wait_us,
                 CAST(TIMESTAMPDIFF(MICROSECOND, GREATEST(created, COALESCE(not_before, created)),
                      UTC_TIMESTAMP(3)) AS SIGNED) AS waited_us,
                 CAST(TIMESTAMPDIFF(MICROSECOND, GREATEST(modified, COALESCE(not_before, modified)),
                      UTC_TIMESTAMP(3)) AS SIGNED) AS queued_us,
                 CAST(TIMESTAMPDIFF(MICROSECOND, COALESCE(started, UTC_TIMESTAMP(3)), UTC_TIMESTAMP(3)) AS SIGNED) AS age_us
             FROM {journal} WHERE id IN "
        ),
    )
    .list(ids())
    .sql(&format!(" ORDER BY id FOR UPDATE WAIT {LOCK_WAIT_SECS}"));
    // Behind the locks: what ended while they were waited for counts no more.
    let leased = Statement::new("SELECT user_id FROM leases WHERE source_id = ")
        .value(source.id.0)
        .sql(&tables.text(" AND user_id IN (SELECT user_id FROM {journal} WHERE id IN "))
        .list(ids())
        .sql(")");
    let answers = or_none(lock.then(&leased).run::<2>(connection).await.map(Vec::from))?;
    let [locked, leased] = &answers[..] else { return Ok(HashMap::new()) };
    let leased: HashSet<u64> = leased.read::<(u64,)>()?.into_iter().map(|(user,)| user).collect();
    let mut rows = HashMap::new();
    for row in &locked.rows {
        let (status, phase): (String, String) = (row.try_get("status")?, row.try_get("phase")?);
        let (wait_us, waited_us): (i64, i64) = (row.try_get("wait_us")?, row.try_get("waited_us")?);
        let row = Row {
            id: JournalId(row.try_get("id")?),
            user: UserId(row.try_get("user_id")?),
            host: HostId(row.try_get("sourcehost_id")?),
            target: TargetId(row.try_get("target_id")?),
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
            user_leased: leased.contains(&row.try_get("user_id")?),
            blocks: json(row.try_get("details")?, "details")?.unwrap_or_default(),
            carried: json(row.try_get("carried")?, "carried")?,
            pre_started: row.try_get("pre_started")?,
            post_started: row.try_get("post_started")?,
            cleanup: row.try_get::<Option<String>, _>("cleanup")?.as_deref().and_then(Status::parse),
            queued_ms: row.try_get::<i64, _>("queued_us")? / 1000,
            trace: row.try_get::<Option<String>, _>("trace")?.and_then(|text| text.parse().ok()),
        };
        rows.insert(row.id, row);
    }
    Ok(rows)
}

fn json<T: DeserializeOwned>(text: Option<String>, column: &'static str) -> Result<Option<T>> {
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| Error::Inconsistent { table: "journal", column })
}

/// Reads the users of these rows.
pub(super) fn read_users(tables: &Tables, granted: &[&Row]) -> Statement {
    let statement = format!("SELECT {} {}", users::COLUMNS, tables.text("FROM {users} u WHERE u.id IN "));
    Statement::new(statement).list(granted.iter().map(|row| row.user.0))
}

/// What [`read_users`] has found.
pub(super) fn by_id(users: &Answer) -> Result<HashMap<UserId, User>> {
    let users: Vec<User> = users.read()?;
    Ok(users.into_iter().map(|user| (user.id, user)).collect())
}
