//! Sealed passwords, for a new key to take the place of an old one.

use super::{Result, Source, Store, tables::Tables};
use crate::domain::{ids::UserId, sealed::Sealed};

/// The sealed password of a user.
#[derive(Debug, Clone)]
pub struct SealedUser {
    /// The user.
    pub id: UserId,
    /// Its mail identifier on the Source, which is bound into the seal.
    pub source_uid: String,
    /// The password.
    pub password: Sealed,
}

impl Store {
    /// A page of users after `after` whose password another key than `alias` sealed, in the order of their
    /// ids.
    pub async fn users_sealed_otherwise(
        &self,
        source: &Source,
        alias: &str,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<SealedUser>> {
        let rows: Vec<(u64, String, Vec<u8>, String)> = sqlx::query_as(Tables::of(&source.name).sql(
            "SELECT id, source_uid, password, password_key FROM {users} FORCE INDEX (PRIMARY)
             WHERE id > ? AND password IS NOT NULL AND CAST(password_key AS BINARY) <> CAST(? AS BINARY)
             ORDER BY id LIMIT ?",
        ))
        .bind(after.0)
        .bind(alias)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let users = rows.into_iter().map(|(id, source_uid, bytes, alias)| SealedUser {
            id: UserId(id),
            source_uid,
            password: Sealed { alias, bytes },
        });
        Ok(users.collect())
    }

    /// Puts new seals in the place of old ones, all in one transaction; gives how many were there still.
    /// A password that was changed since stays as it is.
    pub async fn reseal(&self, source: &Source, seals: &[(SealedUser, Sealed)]) -> Result<usize> {
        super::retry_contended(|| self.reseal_once(source, seals)).await
    }

    async fn reseal_once(&self, source: &Source, seals: &[(SealedUser, Sealed)]) -> Result<usize> {
        let tables = Tables::of(&source.name);
        let mut tx = self.begin().await?;
        let mut resealed = 0;
        for (user, sealed) in seals {
            let updated = sqlx::query(
                tables.sql("UPDATE {users} SET password = ?, password_key = ? WHERE id = ? AND password = ?"),
            )
            .bind(&sealed.bytes[..])
            .bind(&sealed.alias)
            .bind(user.id.0)
            .bind(&user.password.bytes[..])
            .execute(&mut *tx)
            .await?;
            resealed += usize::from(updated.rows_affected() == 1);
        }
        tx.commit().await?;
        Ok(resealed)
    }
}
