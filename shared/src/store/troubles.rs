//! Trouble with source hosts: what many users in a row run into suspends the host, so that the list of
//! users is not burned through.

use std::time::Duration;

use sqlx::MySqlConnection;

use super::{Result, Store, outbox};
use crate::domain::ids::{HostId, UserId};

/// What speaks against a source host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The master user's credentials are refused.
    Authentication,
    /// Nobody gets through to it.
    Unreachable,
}

impl Trouble {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "AUTHENTICATION",
            Self::Unreachable => "UNREACHABLE",
        }
    }
}

/// For how long a host rests, and why; the reason is shown to the admin and holds no secret.
#[derive(Debug, Clone)]
pub struct Suspension {
    /// How long nothing of it starts.
    pub lasts: Duration,
    /// What happened.
    pub reason: String,
}

/// Longest reason that is kept, in characters.
const REASON_LIMIT: usize = 1000;

impl Store {
    /// Notes that a user ran into trouble with a host. When `users` different ones did so without a
    /// success between, the host is suspended: `true`.
    pub async fn note_trouble(
        &self,
        host: HostId,
        user: UserId,
        trouble: Trouble,
        users: u32,
        suspension: &Suspension,
    ) -> Result<bool> {
        super::retry_contended(|| self.note_trouble_once(host, user, trouble, users, suspension)).await
    }

    async fn note_trouble_once(
        &self,
        host: HostId,
        user: UserId,
        trouble: Trouble,
        users: u32,
        suspension: &Suspension,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT IGNORE INTO host_troubles (sourcehost_id, kind, user_id, noted)
             VALUES (?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(host.0)
        .bind(trouble.as_str())
        .bind(user.0)
        .execute(&mut *tx)
        .await?;
        let noted: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM host_troubles WHERE sourcehost_id = ? AND kind = ?")
                .bind(host.0)
                .bind(trouble.as_str())
                .fetch_one(&mut *tx)
                .await?;
        let suspends = noted >= i64::from(users);
        if suspends {
            suspend(&mut tx, host, suspension).await?;
        }
        tx.commit().await?;
        Ok(suspends)
    }

    /// A migration of this host succeeded: earlier troubles say nothing any more.
    pub async fn clear_troubles(&self, host: HostId) -> Result<()> {
        sqlx::query("DELETE FROM host_troubles WHERE sourcehost_id = ?")
            .bind(host.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Suspends a host for some time, or for longer than it is already. A resume by API ends that.
    pub async fn suspend_sourcehost(&self, host: HostId, suspension: &Suspension) -> Result<()> {
        let mut tx = self.begin().await?;
        suspend(&mut tx, host, suspension).await?;
        Ok(tx.commit().await?)
    }
}

async fn suspend(connection: &mut MySqlConnection, host: HostId, suspension: &Suspension) -> Result<()> {
    let reason: String = suspension.reason.chars().take(REASON_LIMIT).collect();
    let seconds = suspension.lasts.as_secs();
    // MariaDB assigns from left to right: the reason is replaced only where the time is.
    sqlx::query(
        "UPDATE sourcehosts SET
             suspended_reason = IF(suspended_until > UTC_TIMESTAMP(3) + INTERVAL ? SECOND, suspended_reason, ?),
             suspended_until = GREATEST(COALESCE(suspended_until, '1970-01-01'), UTC_TIMESTAMP(3) + INTERVAL ? SECOND)
         WHERE id = ?",
    )
    .bind(seconds)
    .bind(reason)
    .bind(seconds)
    .bind(host.0)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM host_troubles WHERE sourcehost_id = ?")
        .bind(host.0)
        .execute(&mut *connection)
        .await?;
    outbox::add_host(connection, host).await
}
