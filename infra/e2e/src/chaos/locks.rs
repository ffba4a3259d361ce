//! Transactions of somebody else that stand in the way.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{Connection as _, MySqlConnection};

use super::fault::Fault;
use super::field::Field;
use crate::settings::DATABASE;

/// How long a lock is waited for; without it the fault is left out.
const PATIENCE: Duration = Duration::from_secs(2);

impl Field {
    /// Locks what the fault says, as long as MariaDB is there and nobody else holds it.
    pub(super) async fn lock(&self, fault: Fault) {
        if let Ok(Ok(connection)) = tokio::time::timeout(PATIENCE, self.open_lock(fault)).await {
            self.locks().push((fault, connection));
        }
    }

    /// Ends such a fault.
    pub(super) async fn unlock(&self, fault: Fault) {
        let held: Vec<_> = self.locks().extract_if(.., |(of, _)| *of == fault).collect();
        for (_, connection) in held {
            // A server that was killed meanwhile has forgotten it.
            drop(tokio::time::timeout(PATIENCE, connection.close()).await);
        }
    }

    async fn open_lock(&self, fault: Fault) -> Result<MySqlConnection> {
        let url = self.fleet.lab().mariadb().url(DATABASE);
        let mut connection = MySqlConnection::connect(&url).await?;
        sqlx::raw_sql("SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
            .execute(&mut connection)
            .await?;
        match fault {
            Fault::LockHost(host) => {
                sqlx::raw_sql("START TRANSACTION").execute(&mut connection).await?;
                sqlx::query("SELECT id FROM sourcehosts WHERE name = ? FOR UPDATE")
                    .bind(self.hosts[host].name())
                    .fetch_all(&mut connection)
                    .await?;
            }
            Fault::LockLease(number) => {
                let leases = self.books.leases().await?;
                let lease = leases.get(number % leases.len().max(1)).context("no lease")?;
                sqlx::raw_sql("START TRANSACTION").execute(&mut connection).await?;
                sqlx::query("SELECT epoch FROM leases WHERE source_id = ? AND journal_id = ? FOR UPDATE")
                    .bind(lease.source_id)
                    .bind(lease.journal_id)
                    .fetch_all(&mut connection)
                    .await?;
            }
            _ => {
                for stage in ["START", "BLOCK_COMMIT"] {
                    let statement = format!("BACKUP STAGE {stage}");
                    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
                }
            }
        }
        Ok(connection)
    }
}
