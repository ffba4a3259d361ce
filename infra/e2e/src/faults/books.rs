use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use dmf_lab::Lab;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};

use crate::settings::DATABASE;

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    /// Its id.
    pub id: u64,
    /// The user's name on the source.
    pub user: String,
    /// Where it stands.
    pub status: String,
    /// Its fencing token.
    pub epoch: u64,
    /// How often a worker was lost with it.
    pub losses: u32,
    /// How often the sync command was run.
    pub attempt: u32,
    /// Whether its cancel was requested and not carried out yet.
    pub cancel_requested: bool,
    /// Whether its pre command had started.
    pub pre_started: bool,
    /// Only its failure command is to run; then it gets this end state.
    pub cleanup: Option<String>,
}

impl Row {
    /// Whether it never changes again.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.as_str(), "SUCCESS" | "FAILURE" | "ABORTED")
    }
}

/// The columns of a [`Row`].
const ROW: &str =
    "SELECT j.id, u.source_uid AS user, CAST(j.status AS CHAR) AS status, j.epoch, j.losses, j.attempt,
     j.cancel_requested, j.pre_started, CAST(j.cleanup AS CHAR) AS cleanup";

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Lease {
    /// Id of the Source.
    pub source_id: u32,
    /// Id of the journal's row.
    pub journal_id: u64,
    /// Id of the source host that it counts against.
    pub sourcehost_id: u32,
    /// The epoch of its claim.
    pub epoch: u64,
    /// Raised by each heartbeat.
    pub beat: u64,
}

impl Lease {
    /// What the queue calls it.
    pub fn member(&self) -> String {
        format!("{}:{}", self.source_id, self.journal_id)
    }
}

/// How much of a source host is used.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(crate) struct Usage {
    pub(crate) host: u32,
    pub(crate) limit: u32,
    pub(crate) leases: i64,
}

/// MariaDB of a fleet, read by the way of nobody else: the truth, whatever is cut.
#[derive(Debug, Clone)]
pub struct Books {
    pool: MySqlPool,
    source: String,
}

impl Books {
    /// For the tables of this Source.
    pub fn open(lab: &Lab, source: &str) -> Self {
        let database = lab.mariadb();
        let options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(database.port())
            .username(database.user())
            .password(database.password())
            .database(DATABASE);
        let pool = MySqlPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(std::time::Duration::from_secs(2))
            .connect_lazy_with(options);
        Self { pool, source: source.to_owned() }
    }

    /// The connections, for statements that only one test needs.
    pub fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// Name of the Source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// All rows of the Source, in order of their ids.
    pub async fn rows(&self) -> Result<Vec<Row>> {
        self.rows_where("TRUE").await
    }

    /// Rows that are open or ended within the last seconds: all that a look from time to time has to see.
    pub(crate) async fn lively_rows(&self) -> Result<Vec<Row>> {
        self.rows_where("j.open_user IS NOT NULL OR j.stopped > UTC_TIMESTAMP(3) - INTERVAL 20 SECOND").await
    }

    async fn rows_where(&self, condition: &str) -> Result<Vec<Row>> {
        let source = &self.source;
        let statement = format!(
            "{ROW} FROM journal{source} j JOIN users{source} u ON u.id = j.user_id WHERE {condition} ORDER BY j.id"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await?)
    }

    /// The newest row of a user.
    pub async fn row(&self, user: &str) -> Result<Row> {
        let rows = self.rows().await?;
        rows.into_iter().rfind(|row| row.user == user).with_context(|| format!("{user} has no row"))
    }

    /// All leases, in order of their rows.
    pub async fn leases(&self) -> Result<Vec<Lease>> {
        let statement = "SELECT source_id, journal_id, sourcehost_id, epoch, beat FROM leases ORDER BY source_id, journal_id";
        Ok(sqlx::query_as(statement).fetch_all(&self.pool).await?)
    }

    /// The lease of a user's newest row.
    pub async fn lease(&self, user: &str) -> Result<Option<Lease>> {
        let id = self.row(user).await?.id;
        Ok(self.leases().await?.into_iter().find(|lease| lease.journal_id == id))
    }

    /// Limit and leases of each source host, at one moment.
    pub(crate) async fn usage(&self) -> Result<Vec<Usage>> {
        let statement = "SELECT h.id AS host, h.max_connections AS `limit`, COUNT(l.journal_id) AS leases FROM sourcehosts h
             LEFT JOIN leases l ON l.sourcehost_id = h.id GROUP BY h.id, h.max_connections";
        Ok(sqlx::query_as(statement).fetch_all(&self.pool).await?)
    }

    /// Id, user and details of every row that failed.
    pub(crate) async fn failures(&self) -> Result<Vec<(u64, String, Option<String>)>> {
        let statement = format!(
            "SELECT j.id, u.source_uid, j.details FROM journal{0} j JOIN users{0} u ON u.id = j.user_id
             WHERE j.status = 'FAILURE' ORDER BY j.id",
            self.source
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await?)
    }

    /// The details of every row that ended without success, by its id.
    pub(crate) async fn details_of_unsuccessful(&self) -> Result<BTreeMap<u64, String>> {
        let statement = format!(
            "SELECT id, details FROM journal{} WHERE status IN ('FAILURE', 'ABORTED') AND details IS NOT NULL",
            self.source
        );
        let rows: Vec<(u64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }

    /// Number of rows by phase and status.
    pub(crate) async fn count_by_end(&self) -> Result<BTreeMap<String, usize>> {
        let statement = format!(
            "SELECT CONCAT(phase, ' ', status), COUNT(*) FROM journal{} GROUP BY phase, status",
            self.source
        );
        let rows: Vec<(String, i64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(end, count)| (end, usize::try_from(count).unwrap_or(0))).collect())
    }

    /// A row with all that it says, for people to read.
    pub(crate) async fn whole_row(&self, id: u64) -> Result<String> {
        let statement = format!(
            "SELECT CONCAT_WS(' ', j.id, u.source_uid, j.phase, j.status, CONCAT('epoch=', j.epoch),
                 CONCAT('attempt=', j.attempt), CONCAT('losses=', j.losses), CONCAT('cancel=', j.cancel_requested),
                 CONCAT('pre=', j.pre_started), CONCAT('post=', j.post_started), CONCAT('cleanup=', j.cleanup),
                 CONCAT('created=', j.created), CONCAT('started=', j.started), CONCAT('stopped=', j.stopped),
                 CONCAT('modified=', j.modified), CONCAT('not_before=', j.not_before), CONCAT('backend=', j.backend),
                 CONCAT('details=', LEFT(j.details, 3000)))
             FROM journal{0} j JOIN users{0} u ON u.id = j.user_id WHERE j.id = ?",
            self.source
        );
        let row: Option<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(id).fetch_optional(&self.pool).await?;
        Ok(row.unwrap_or_else(|| format!("row {id} is not there")))
    }

    /// Number of entries that no relay has carried yet.
    pub async fn outbox(&self) -> Result<i64> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&self.pool).await?)
    }
}
