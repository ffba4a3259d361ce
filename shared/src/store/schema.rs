//! The schema: the database itself, the shared tables, and the tables of each Source.

use sqlx::{
    ConnectOptions as _, Connection as _, MySqlConnection,
    migrate::{MigrateError, Migrator},
};

use super::{Error, Options, Result, Store, error::expect_rows, tables::Tables};
use crate::domain::ids::SourceName;

static SHARED: Migrator = sqlx::migrate!("./migrations");

/// What runs once for each Source, in order. A step is never changed once it was released; a new
/// one reaches every existing Source at the next start of a scheduler.
const PER_SOURCE: [&str; 2] = [
    include_str!("../../migrations/per_source/0001_users_and_journal.sql"),
    include_str!("../../migrations/per_source/0002_list_keys.sql"),
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
        let mut connection = options.connect.clone().disable_statement_logging().connect().await?;
        let statement = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Brings the shared tables and those of every Source up to date. Any number of schedulers may
    /// call it at the same time.
    pub async fn migrate(&self) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        // The lock goes with the connection, also when this is cut off.
        connection.close_on_drop();
        let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
            .bind(LOCK)
            .bind(LOCK_WAIT_SECS)
            .fetch_one(&mut *connection)
            .await?;
        if locked != Some(1) {
            return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
        }
        migrate_locked(&mut connection).await?;
        sqlx::query("DO RELEASE_LOCK(?)").bind(LOCK).execute(&mut *connection).await?;
        Ok(())
    }
}

async fn migrate_locked(connection: &mut MySqlConnection) -> Result<()> {
    migrate_shared(connection).await?;
    let sources: Vec<(String, u32)> = sqlx::query_as("SELECT name, schema_step FROM sources ORDER BY id")
        .fetch_all(&mut *connection)
        .await?;
    for (name, step) in sources {
        let name = name.parse().map_err(|_| Error::Inconsistent { table: "sources", column: "name" })?;
        migrate_source(connection, &name, step).await?;
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
async fn migrate_source(connection: &mut MySqlConnection, source: &SourceName, done: u32) -> Result<()> {
    let step = run_source_steps(connection, source, done).await?;
    if step > done {
        sqlx::query("UPDATE sources SET schema_step = ? WHERE name = ?")
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
) -> Result<u32> {
    let tables = Tables::of(source);
    let mut last = done;
    for (step, template) in (1_u32..).zip(PER_SOURCE) {
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
