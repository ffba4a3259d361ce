//! The claim: what Redis proposed becomes a lease, or is refused. One transaction for a batch.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::MySqlConnection;
use uuid::Uuid;

use super::{
    Error, Result, Source, Sourcehost, Store,
    claim_rows::{Admission, Begun, Row, begin_claim, by_id, lock_rows, read_users},
    error::expect_rows,
    spelled::Statement,
    tables::Tables,
};
use crate::domain::{
    ids::{BackendId, Epoch, HostId, JobId, SourceId, TargetId},
    migration::{Event, Phase, Status, transition},
    trace::TraceParent,
    user::User,
};

/// Who claims.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The worker's row.
    pub backend: BackendId,
    /// Its process.
    pub incarnation: Uuid,
    /// The target that it works for: it claims nothing else.
    pub target: TargetId,
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
    /// The row does not wait for a worker (any more), or is gone, or belongs to another host or target: the
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
    /// Blocks of `details` that earlier claims left.
    pub blocks: Vec<Value>,
    /// What the claim before this one left for it, as the worker wrote it.
    pub carried: Option<Value>,
    /// How long ago it was first claimed, in milliseconds: time in the backlog does not count.
    pub age_ms: u64,
    /// How long it waited between its submission and this claim, in milliseconds.
    pub waited_ms: u64,
    /// How long it waited since it came into the queue for the last time, in milliseconds.
    pub queued_ms: u64,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
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

impl Store {
    /// Claims what may be claimed of `requests` and answers every one of them, in no given order.
    /// `Unavailable` may mean that the commit went through: [`Store::read_back_claim`] tells. After any
    /// other error nothing was claimed; a row that is locked for some seconds fails the whole batch.
    pub async fn claim(&self, holder: &Holder, requests: &[ClaimRequest]) -> Result<Vec<Decision>> {
        super::timed("claim", |_| true, super::retry_deadlocked(|| self.claim_once(holder, requests))).await
    }

    async fn claim_once(&self, holder: &Holder, requests: &[ClaimRequest]) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(requests.len());
        let (mut tx, Begun { mut hosts, sources }) = begin_claim(self, requests).await?;
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
        match admit(holder, source, request, row, hosts.get_mut(&request.host)) {
            Ok(row) => granted.push(row),
            Err(refusal) => decisions.push(Decision::Refused(request.job, refusal)),
        }
    }
    if granted.is_empty() {
        return Ok(());
    }
    let grant = mark_running(holder, &tables, &granted).then(&insert_leases(holder, source, &granted));
    let [marked, leased, users] = grant.then(&read_users(&tables, &granted)).run(connection).await?;
    expect_rows("journal", granted.len() as u64, marked.affected)?;
    expect_rows("leases", granted.len() as u64, leased.affected)?;
    let mut users = by_id(&users)?;
    for row in granted {
        let user =
            users.remove(&row.user).ok_or(Error::Inconsistent { table: "journal", column: "user_id" })?;
        let claimed = row.claimed(Epoch(row.epoch.0 + 1), source, user, &hosts[&row.host].host);
        decisions.push(Decision::Granted(Box::new(claimed)));
    }
    Ok(())
}

/// Decides one request; takes one of the host's places when it is admitted.
fn admit<'r>(
    holder: &Holder,
    source: &Source,
    request: &ClaimRequest,
    row: Option<&'r Row>,
    host: Option<&mut Admission>,
) -> Result<&'r Row, Refusal> {
    let (Some(row), Some(host)) = (row, host) else { return Err(Refusal::NotWaiting) };
    // What Redis says of host and target may be as old as a dump.
    let elsewhere = row.host != request.host || row.target != holder.target;
    if transition(row.status, Event::Claim, false).is_err() || elsewhere {
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

fn mark_running(holder: &Holder, tables: &Tables, granted: &[&Row]) -> Statement {
    Statement::new(tables.text(
        "UPDATE {journal} SET status = 'SYNC', epoch = epoch + 1, cancel_requested = FALSE,
             started = COALESCE(started, UTC_TIMESTAMP(3)), modified = UTC_TIMESTAMP(3), backend = ",
    ))
    .value(&holder.name)
    .sql(" WHERE status = 'SCHEDULED' AND id IN ")
    .list(granted.iter().map(|row| row.id.0))
}

fn insert_leases(holder: &Holder, source: &Source, granted: &[&Row]) -> Statement {
    Statement::new(
        "INSERT INTO leases (source_id, journal_id, user_id, sourcehost_id, backend_id, incarnation, epoch, claimed)
         VALUES ",
    )
    .rows(granted, |values, row| {
        values.value(source.id.0).value(row.id.0).value(row.user.0).value(row.host.0);
        values.value(holder.backend.0).value(holder.incarnation).value(row.epoch.0 + 1).sql("UTC_TIMESTAMP(3)");
    })
}
