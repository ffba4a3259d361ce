//! Records over all users: pages with filters.
//!
//! A page is found in two steps: its ids from one key, then the records of these ids. The key is chosen here,
//! since the optimizer mistakes few rows at one end of a large table for few rows to read.

use sqlx::{MySql, QueryBuilder, Row as _};
use time::OffsetDateTime;

use super::{
    Record, Result, Source, Store, journal::SELECT, spelled::Statement, submit::database_time, tables::Tables,
};
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
    /// The key whose range holds the least beside the page: one that leads in the order of the ids, or, for
    /// times alone, one that holds all that has to be sorted.
    fn key(&self, status: Option<Status>) -> &'static str {
        let is_open = status.is_some_and(|status| !status.is_terminal());
        if is_open {
            "status"
        } else if self.backend.is_some() {
            "backend"
        } else if self.sourcehost.is_some() {
            "sourcehost"
        } else if status.is_some() {
            "status"
        } else if self.phase.is_some() {
            "phase"
        } else if self.stopped_from.or(self.stopped_until).is_some() {
            "ended"
        } else if self.created_from.or(self.created_until).is_some() {
            "created"
        } else {
            "PRIMARY"
        }
    }

    /// The statement that finds the ids of a page, of one state where there is a choice of them.
    fn ids(
        &self,
        tables: &Tables,
        status: Option<Status>,
        before: Option<JournalId>,
        limit: u32,
        explain: bool,
    ) -> QueryBuilder<MySql> {
        let mut statement = QueryBuilder::new(if explain { "EXPLAIN " } else { "" });
        statement.push(tables.text("SELECT id FROM {journal} FORCE INDEX (")).push(self.key(status));
        statement.push(") WHERE id < ").push_bind(before.map_or(u64::MAX, |id| id.0));
        if let Some(status) = status {
            statement.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(phase) = self.phase {
            statement.push(" AND phase = ").push_bind(phase.as_str());
        }
        if let Some(host) = self.sourcehost {
            statement.push(" AND sourcehost_id = ").push_bind(host.0);
        }
        if let Some(backend) = &self.backend {
            statement.push(" AND backend = ").push_bind(backend.clone());
        }
        for (condition, time) in [
            (" AND created >= ", self.created_from),
            (" AND created < ", self.created_until),
            (" AND stopped >= ", self.stopped_from),
            (" AND stopped < ", self.stopped_until),
        ] {
            if let Some(time) = time {
                statement.push(condition).push_bind(database_time(time));
            }
        }
        statement.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        statement
    }

    /// The states to look for, each by itself.
    fn each_status(&self) -> Vec<Option<Status>> {
        let mut statuses = self.statuses.clone();
        statuses.sort_unstable_by_key(|status| status.as_str());
        statuses.dedup();
        if statuses.is_empty() { vec![None] } else { statuses.into_iter().map(Some).collect() }
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
        let tables = Tables::of(&source.name);
        let mut ids: Vec<u64> = Vec::new();
        for status in filter.each_status() {
            let mut statement = filter.ids(&tables, status, before, limit, false);
            ids.extend(statement.build_query_scalar::<u64>().fetch_all(&self.pool).await?);
        }
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        ids.truncate(limit as usize);
        self.records_of(&tables, &ids).await
    }

    /// The records of these ids, newest first.
    async fn records_of(&self, tables: &Tables, ids: &[u64]) -> Result<Vec<Record>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = Statement::new(tables.text(SELECT)).sql(" WHERE j.id IN ").list(ids);
        let mut connection = self.pool.acquire().await?;
        let mut records: Vec<Record> = statement.fetch_all(&mut connection).await?;
        connection.give_back();
        records.sort_unstable_by_key(|record| std::cmp::Reverse(record.id.0));
        Ok(records)
    }

    /// How MariaDB finds a page of [`Store::records`]: key and `Extra` of each statement.
    pub async fn explain_records(
        &self,
        source: &Source,
        filter: &RecordFilter,
    ) -> Result<Vec<(String, String)>> {
        let mut plans = Vec::new();
        for status in filter.each_status() {
            let mut statement = filter.ids(&Tables::of(&source.name), status, None, 100, true);
            let row = statement.build().fetch_one(&self.pool).await?;
            plans.push((row.try_get::<Option<String>, _>("key")?.unwrap_or_default(), row.try_get("Extra")?));
        }
        Ok(plans)
    }
}
