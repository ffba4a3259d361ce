//! Leases: heartbeats, what a worker holds, and what is wanted of it.

use sqlx::{Row as _, mysql::MySqlRow};
use uuid::Uuid;

use super::{Error, Result, Store, claim::Holder, spelled::Statement};
use crate::domain::ids::{BackendId, Epoch, HostId, JobId, JournalId, SourceId};

/// What is wanted of a running migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Go on.
    Run,
    /// Kill it, then record it as ABORTED.
    Cancel,
    /// Kill it; its record is closed already.
    Close,
}

impl Wanted {
    /// Reads the column.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match text {
            "RUN" => Ok(Self::Run),
            "CANCEL" => Ok(Self::Cancel),
            "CLOSE" => Ok(Self::Close),
            _ => Err(Error::Inconsistent { table: "leases", column: "wanted" }),
        }
    }
}

/// A lease as its holder reads it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    /// The migration.
    pub job: JobId,
    /// The source host that it counts against.
    pub host: HostId,
    /// Fencing token of the claim.
    pub epoch: Epoch,
    /// What is wanted of it.
    pub wanted: Wanted,
}

impl Store {
    /// Raises the beat of each of these leases and reads back everything that this incarnation
    /// holds: a lease that is missing in the answer is lost, and one that the worker does not know
    /// is to be handed back.
    pub async fn heartbeat_leases(
        &self,
        holder: &Holder,
        leases: &[(JobId, Epoch)],
    ) -> Result<Vec<HeldLease>> {
        super::timed("heartbeat", |_| true, super::retry_contended(|| self.heartbeat_once(holder, leases)))
            .await
    }

    async fn heartbeat_once(&self, holder: &Holder, leases: &[(JobId, Epoch)]) -> Result<Vec<HeldLease>> {
        if !leases.is_empty() {
            let mut connection = self.pool.acquire().await?;
            Statement::new("UPDATE leases SET beat = beat + 1 WHERE backend_id = ")
                .value(holder.backend.0)
                .sql(" AND incarnation = ")
                .value(holder.incarnation)
                .sql(" AND (source_id, journal_id, epoch) IN (")
                .rows(leases, |row, (job, epoch)| {
                    row.value(job.source.0).value(job.journal.0).value(epoch.0);
                })
                .sql(")")
                .execute(&mut connection)
                .await?;
            connection.give_back();
        }
        self.leases_of(holder.backend, holder.incarnation).await
    }

    /// Everything that this incarnation of a backend holds.
    pub async fn leases_of(&self, backend: BackendId, incarnation: Uuid) -> Result<Vec<HeldLease>> {
        let rows = sqlx::query(
            "SELECT source_id, journal_id, sourcehost_id, epoch, wanted FROM leases
              WHERE backend_id = ? AND incarnation = ?",
        )
        .bind(backend.0)
        .bind(incarnation)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(decode).collect()
    }

    /// Everything that this incarnation holds, whatever its backend is called.
    pub async fn leases_of_incarnation(&self, incarnation: Uuid) -> Result<Vec<HeldLease>> {
        let statement =
            "SELECT source_id, journal_id, sourcehost_id, epoch, wanted FROM leases WHERE incarnation = ?";
        let rows = sqlx::query(statement).bind(incarnation).fetch_all(&self.pool).await?;
        rows.iter().map(decode).collect()
    }
}

fn decode(row: &MySqlRow) -> Result<HeldLease> {
    let wanted: String = row.try_get("wanted")?;
    Ok(HeldLease {
        job: JobId {
            source: SourceId(row.try_get("source_id")?),
            journal: JournalId(row.try_get("journal_id")?),
        },
        host: HostId(row.try_get("sourcehost_id")?),
        epoch: Epoch(row.try_get("epoch")?),
        wanted: Wanted::parse(&wanted)?,
    })
}
