//! Records over all users: pages with filters.

use sqlx::{MySql, QueryBuilder};
use time::OffsetDateTime;

use super::{Record, Result, Source, Store, journal::SELECT, submit::database_time, tables::Tables};
use crate::domain::{
    ids::{HostId, JournalId},
    migration::{Phase, Status},
};

/// Which records a page holds. `None` and an empty list hold back nothing.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// Those in one of these states.
    pub statuses: Vec<Status>,
    /// Those of this phase.
    pub phase: Option<Phase>,
    /// Those of this source host.
    pub sourcehost: Option<HostId>,
    /// Those that this worker (`target/worker`) runs or ran.
    pub backend: Option<String>,
    /// Those submitted at this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Those submitted before this time.
    pub created_until: Option<OffsetDateTime>,
    /// Those that ended at this time or later.
    pub stopped_from: Option<OffsetDateTime>,
    /// Those that ended before this time.
    pub stopped_until: Option<OffsetDateTime>,
}

impl RecordFilter {
    fn push(&self, statement: &mut QueryBuilder<MySql>) {
        if !self.statuses.is_empty() {
            statement.push(" AND j.status IN (");
            let mut list = statement.separated(", ");
            for status in &self.statuses {
                list.push_bind(status.as_str());
            }
            statement.push(")");
        }
        if let Some(phase) = self.phase {
            statement.push(" AND j.phase = ").push_bind(phase.as_str());
        }
        if let Some(host) = self.sourcehost {
            statement.push(" AND j.sourcehost_id = ").push_bind(host.0);
        }
        if let Some(backend) = &self.backend {
            statement.push(" AND j.backend = ").push_bind(backend.clone());
        }
        for (condition, time) in [
            (" AND j.created >= ", self.created_from),
            (" AND j.created < ", self.created_until),
            (" AND j.stopped >= ", self.stopped_from),
            (" AND j.stopped < ", self.stopped_until),
        ] {
            if let Some(time) = time {
                statement.push(condition).push_bind(database_time(time));
            }
        }
    }
}

impl Store {
    /// A page of at most `limit` records, newest first, below `before`: rows that are added do not disturb
    /// it.
    pub async fn records(
        &self,
        source: &Source,
        filter: &RecordFilter,
        before: Option<JournalId>,
        limit: u32,
    ) -> Result<Vec<Record>> {
        let mut statement = QueryBuilder::<MySql>::new(Tables::of(&source.name).text(SELECT));
        statement.push(" WHERE j.id < ").push_bind(before.map_or(u64::MAX, |id| id.0));
        filter.push(&mut statement);
        statement.push(" ORDER BY j.id DESC LIMIT ").push_bind(limit);
        Ok(statement.build_query_as().fetch_all(&self.pool).await?)
    }
}
