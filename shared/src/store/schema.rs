//! The schema: the database itself, the shared tables, and the tables of each Source.

use sqlx::{
    ConnectOptions as _, Connection as _, MySqlConnection,
    migrate::{MigrateError, Migrator},
};

use super::{Error, Options, Result, Store, error::expect_rows, pool::Loan, tables::Tables};
use crate::domain::ids::SourceName;

static SHARED: Migrator = sqlx::migrate!("./migrations");

/// What runs once for each Source, in order. A step is never changed once it was released; a new one reaches
/// every existing Source at the next start of a scheduler, and those that an older scheduler creates after
/// that by [`Store::migrate_sources`].
pub(super) const PER_SOURCE: &[&str] = &[
    include_str!("../../migrations/per_source/0001_users_and_journal.sql"),
    include_str!("../../migrations/per_source/0002_list_keys.sql"),
    include_str!("../../migrations/per_source/0003_trace.sql"),
];

/// Schedulers that start together take turns under this lock of the server.
const LOCK: &str = "dmf_schema";
const LOCK_WAIT_SECS: u32 = 120;

impl Store {
    /// Creates the database when it is missing and `options` allow it.
    pub async fn create_database(options: &Options) -> Result<()> {
        if !options.create {
            return Ok(());
        }
        let name = options.database.replace('`', "``");
        let connect = options.connect.clone().disable_statement_logging();
        let connecting = tokio::time::timeout(options.acquire_timeout, connect.connect());
        let mut connection = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let statement = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Brings the shared tables and those of every Source up to date. Any number of schedulers may
    /// call it at the same time.
    pub async fn migrate(&self) -> Result<()> {
        let Some(mut connection) = self.lock_schema(LOCK_WAIT_SECS).await? else {
            return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
        };
        migrate_shared(&mut connection).await?;
        migrate_sources(&mut connection, PER_SOURCE).await?;
        Ok(connection.close().await?)
    }

    /// Brings those Sources up to date that a scheduler of an older version has created since this one's
    /// [`Store::migrate`], as long as both run. One query where there is none.
    pub async fn migrate_sources(&self) -> Result<()> {
        self.migrate_sources_by(PER_SOURCE).await
    }

    async fn migrate_sources_by(&self, steps: &'static [&'static str]) -> Result<()> {
        let behind: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sources WHERE schema_step < ?")
            .bind(last_of(steps))
            .fetch_one(&self.pool)
            .await?;
        if behind == 0 {
            return Ok(());
        }
        // Another scheduler that is at it does it for all.
        let Some(mut connection) = self.lock_schema(0).await? else { return Ok(()) };
        migrate_sources(&mut connection, steps).await?;
        Ok(connection.close().await?)
    }

    /// A connection that has the lock until it is closed, or none when somebody else has it for as long as `wait_secs`.
    async fn lock_schema(&self, wait_secs: u32) -> Result<Option<Loan>> {
        let mut connection = self.pool.acquire().await?;
        // The lock goes with the connection, also when this is cut off.
        let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
            .bind(LOCK)
            .bind(wait_secs)
            .fetch_one(&mut *connection)
            .await?;
        Ok((locked == Some(1)).then_some(connection))
    }
}

/// The number of the last step.
fn last_of(steps: &[&str]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

async fn migrate_sources(connection: &mut MySqlConnection, steps: &[&'static str]) -> Result<()> {
    let sources: Vec<(String, u32)> =
        sqlx::query_as("SELECT name, schema_step FROM sources WHERE schema_step < ? ORDER BY id")
            .bind(last_of(steps))
            .fetch_all(&mut *connection)
            .await?;
    for (name, step) in sources {
        let name = name.parse().map_err(|_| Error::Inconsistent { table: "sources", column: "name" })?;
        match migrate_source(connection, &name, step, steps).await {
            // Its deletion goes on meanwhile.
            Err(error) if error.is_schema_missing() => {}
            migrated => migrated?,
        }
    }
    Ok(())
}

/// Brings the shared tables up to date. DDL commits by itself, so a migration that was cut off leaves a mark and
/// some of its tables; since every statement is repeatable, it is run again from its first.
async fn migrate_shared(connection: &mut MySqlConnection) -> Result<()> {
    loop {
        match SHARED.run_direct(None, &mut *connection, false).await {
            Err(MigrateError::Dirty(version)) => forget_unfinished(connection, version).await?,
            done => return Ok(done?),
        }
    }
}

/// Removes the mark of a migration that was cut off. Only the holder of [`LOCK`] may do so.
async fn forget_unfinished(connection: &mut MySqlConnection, version: i64) -> Result<()> {
    tracing::warn!(version, "a migration of the schema was cut off, running it again");
    let forgotten = sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ? AND NOT success")
        .bind(version)
        .execute(connection)
        .await?;
    expect_rows("_sqlx_migrations", 1, forgotten.rows_affected())
}

/// Brings the tables of an existing Source up to date.
async fn migrate_source(
    connection: &mut MySqlConnection,
    source: &SourceName,
    done: u32,
    steps: &[&'static str],
) -> Result<()> {
    let step = run_source_steps(connection, source, done, steps).await?;
    if step > done {
        // An older scheduler may be at it too: the number never falls.
        sqlx::query("UPDATE sources SET schema_step = GREATEST(schema_step, ?) WHERE name = ?")
            .bind(step)
            .bind(source.as_str())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Runs the per-source steps after `done` and gives the last one. DDL commits by itself, so each statement
/// must be repeatable (`IF NOT EXISTS`): a crash between a step and its record runs it again.
pub(super) async fn run_source_steps(
    connection: &mut MySqlConnection,
    source: &SourceName,
    done: u32,
    steps: &[&'static str],
) -> Result<u32> {
    let tables = Tables::of(source);
    let mut last = done;
    for (step, template) in (1_u32..).zip(steps.iter().copied()) {
        if step <= done {
            continue;
        }
        for statement in template.split("-- next statement") {
            sqlx::query(tables.sql(statement)).execute(&mut *connection).await?;
        }
        last = step;
    }
    Ok(last)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
