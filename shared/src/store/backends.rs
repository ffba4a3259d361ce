//! Backends: the workers' registrations, heartbeats and what the API wants of them.

use std::time::Duration;

use sqlx::{FromRow, Row as _, mysql::MySqlRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Error, Result, Store};
use crate::domain::ids::{BackendId, TargetId};

/// What a backend does, or is wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendState {
    /// Leases migrations.
    Running,
    /// Leases nothing, finishes what runs.
    Paused,
    /// Leases nothing and has handed back what ran.
    Stopped,
    /// Its process has ended in good order.
    Gone,
}

impl BackendState {
    const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Stopped, Self::Gone];

    /// The name in the database and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Gone => "GONE",
        }
    }

    /// Reads the name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A worker that starts.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Name of its target; created when missing.
    pub target: String,
    /// Its own name, unique within the target.
    pub name: String,
    /// Random, new at every start.
    pub incarnation: Uuid,
    /// Name of the machine, for the one who looks for it.
    pub machine: String,
    /// Version of the program.
    pub version: String,
    /// Whether it starts paused, unless the API has set something else.
    pub initial_state: BackendState,
    /// Most migrations at a time by its configuration.
    pub threads: u32,
    /// How long it lets children live without a confirmed heartbeat.
    pub lease_deadline: Duration,
}

/// A backend as the API shows it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Row id.
    pub id: BackendId,
    /// Name of its target.
    pub target: String,
    /// The target.
    pub target_id: TargetId,
    /// Its name.
    pub name: String,
    /// The process that holds the name.
    pub incarnation: Uuid,
    /// Machine of that process.
    pub machine: String,
    /// Version of that process.
    pub version: String,
    /// Raised by every heartbeat.
    pub beat: u64,
    /// When the database saw the last heartbeat.
    pub last_heartbeat: OffsetDateTime,
    /// How long ago that was, by the database's clock, in milliseconds; for people only.
    pub silent_ms: u64,
    /// What the API wants at each start; `None` leaves it to the worker's configuration.
    pub initial_state: Option<BackendState>,
    /// What is wanted now.
    pub wanted_state: BackendState,
    /// What the worker last said of itself.
    pub actual_state: BackendState,
    /// Most migrations at a time, by API or else by configuration.
    pub max_threads: u32,
    /// How many ran at the last heartbeat.
    pub threads_in_use: u32,
}

const SELECT: &str = "SELECT b.id, t.name AS target, b.target_id, b.name, b.incarnation, b.machine, b.version, b.beat,
        b.last_heartbeat, GREATEST(0, TIMESTAMPDIFF(MICROSECOND, b.last_heartbeat, UTC_TIMESTAMP(3)) DIV 1000) AS silent_ms,
        b.initial_state, b.wanted_state, b.actual_state, COALESCE(b.max_threads, b.configured_threads) AS max_threads,
        b.threads_in_use
     FROM backends b JOIN targets t ON t.id = b.target_id";

fn state(row: &MySqlRow, column: &'static str) -> sqlx::Result<Option<BackendState>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| {
        BackendState::parse(&text).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: format!("backends.{column}"),
            source: "unknown state".into(),
        })
    })
    .transpose()
}

impl FromRow<'_, MySqlRow> for Backend {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let present =
            |column| state(row, column).and_then(|s| s.ok_or(sqlx::Error::ColumnNotFound(column.into())));
        let silent_ms: i64 = row.try_get("silent_ms")?;
        Ok(Self {
            id: BackendId(row.try_get("id")?),
            target: row.try_get("target")?,
            target_id: TargetId(row.try_get("target_id")?),
            name: row.try_get("name")?,
            incarnation: row.try_get("incarnation")?,
            machine: row.try_get("machine")?,
            version: row.try_get("version")?,
            beat: row.try_get("beat")?,
            last_heartbeat: row.try_get("last_heartbeat")?,
            silent_ms: silent_ms.unsigned_abs(),
            initial_state: state(row, "initial_state")?,
            wanted_state: present("wanted_state")?,
            actual_state: present("actual_state")?,
            max_threads: row.try_get("max_threads")?,
            threads_in_use: row.try_get("threads_in_use")?,
        })
    }
}

/// What a worker says of itself with each heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct WorkerHeartbeat {
    /// What it does.
    pub state: BackendState,
    /// How many migrations it holds.
    pub threads_in_use: u32,
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl Store {
    /// Registers a worker and gives its row; the first worker of a target creates the target. `seen` is the
    /// row of this name as the caller saw it when it made sure that no other process holds the name (see
    /// `protocol.md`, Restart). `None`, and nothing changed, when it is another one by now, or has beaten
    /// since: then there is somebody else.
    pub async fn register_backend(
        &self,
        worker: &Registration,
        seen: Option<&Backend>,
    ) -> Result<Option<Backend>> {
        super::retry_contended(|| self.register_once(worker, seen)).await
    }

    async fn register_once(&self, worker: &Registration, seen: Option<&Backend>) -> Result<Option<Backend>> {
        sqlx::query("INSERT IGNORE INTO targets (name, created) VALUES (?, UTC_TIMESTAMP(3))")
            .bind(&worker.target)
            .execute(&self.pool)
            .await?;
        let target = self.target_by_name(&worker.target).await?.ok_or(Error::RowsAffected {
            table: "targets",
            expected: 1,
            actual: 0,
        })?;
        match seen {
            Some(seen) => self.take_over(worker, seen).await?,
            None => self.insert_backend(worker, target.id).await?,
        }
        let backend = self.backend(&worker.target, &worker.name).await?;
        Ok(backend.filter(|backend| backend.incarnation == worker.incarnation))
    }

    async fn insert_backend(&self, worker: &Registration, target: TargetId) -> Result<()> {
        sqlx::query(
            "INSERT IGNORE INTO backends (target_id, name, incarnation, machine, version, last_heartbeat,
                 wanted_state, actual_state, configured_threads, lease_deadline_ms, created)
             VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3), ?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(target.0)
        .bind(&worker.name)
        .bind(worker.incarnation)
        .bind(&worker.machine)
        .bind(&worker.version)
        .bind(worker.initial_state.as_str())
        .bind(worker.initial_state.as_str())
        .bind(worker.threads)
        .bind(millis(worker.lease_deadline))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn take_over(&self, worker: &Registration, seen: &Backend) -> Result<()> {
        sqlx::query(
            "UPDATE backends SET incarnation = ?, machine = ?, version = ?, last_heartbeat = UTC_TIMESTAMP(3),
                 beat = beat + 1, threads_in_use = 0, wanted_state = COALESCE(initial_state, ?),
                 actual_state = COALESCE(initial_state, ?), configured_threads = ?, lease_deadline_ms = ?
             WHERE id = ? AND incarnation = ? AND beat = ?",
        )
        .bind(worker.incarnation)
        .bind(&worker.machine)
        .bind(&worker.version)
        .bind(worker.initial_state.as_str())
        .bind(worker.initial_state.as_str())
        .bind(worker.threads)
        .bind(millis(worker.lease_deadline))
        .bind(seen.id.0)
        .bind(seen.incarnation)
        .bind(seen.beat)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The backend `name` of the target `target`.
    pub async fn backend(&self, target: &str, name: &str) -> Result<Option<Backend>> {
        // The database would pass over blanks at their ends.
        if target.ends_with(' ') || name.ends_with(' ') {
            return Ok(None);
        }
        let statement = format!("{SELECT} WHERE t.name = ? AND b.name = ?");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(target)
            .bind(name)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// All backends, or those of one target, by target and name.
    pub async fn backends(&self, target: Option<TargetId>) -> Result<Vec<Backend>> {
        let statement = format!("{SELECT} WHERE ? IS NULL OR b.target_id = ? ORDER BY t.name, b.name");
        let target = target.map(|target| target.0);
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(target)
            .bind(target)
            .fetch_all(&self.pool)
            .await?)
    }

    /// Raises the worker's own beat and brings back what is wanted of it: the wanted state and the
    /// thread limit. `None` when another incarnation holds the name.
    pub async fn heartbeat_backend(
        &self,
        id: BackendId,
        incarnation: Uuid,
        heartbeat: WorkerHeartbeat,
    ) -> Result<Option<(BackendState, u32)>> {
        let updated = sqlx::query(
            "UPDATE backends SET beat = beat + 1, last_heartbeat = UTC_TIMESTAMP(3), actual_state = ?,
                 threads_in_use = ? WHERE id = ? AND incarnation = ?",
        )
        .bind(heartbeat.state.as_str())
        .bind(heartbeat.threads_in_use)
        .bind(id.0)
        .bind(incarnation)
        .execute(&self.pool)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(None);
        }
        let row: Option<(String, u32)> = sqlx::query_as(
            "SELECT wanted_state, COALESCE(max_threads, configured_threads) FROM backends WHERE id = ?",
        )
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(wanted, threads)| {
            let wanted = BackendState::parse(&wanted)
                .ok_or(Error::Inconsistent { table: "backends", column: "wanted_state" })?;
            Ok((wanted, threads))
        })
        .transpose()
    }

    /// Deletes a backend that was seen dead. `false`, and nothing deleted, when it has beaten since, or
    /// holds leases: their children may live, and the reaper has not taken them back yet.
    pub async fn delete_backend(&self, seen: &Backend) -> Result<bool> {
        let deleted = sqlx::query(
            "DELETE FROM backends WHERE id = ? AND incarnation = ? AND beat = ?
                 AND NOT EXISTS (SELECT 1 FROM leases WHERE backend_id = ?)",
        )
        .bind(seen.id.0)
        .bind(seen.incarnation)
        .bind(seen.beat)
        .bind(seen.id.0)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected() == 1)
    }
}
