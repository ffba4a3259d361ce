//! Targets: the platforms that users are moved into.

use time::OffsetDateTime;

use super::{Result, Store};
use crate::domain::ids::TargetId;

/// A target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Row id.
    pub id: TargetId,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: OffsetDateTime,
}

type Row = (u32, String, OffsetDateTime);

impl From<Row> for Target {
    fn from((id, name, created): Row) -> Self {
        Self { id: TargetId(id), name, created }
    }
}

impl Store {
    /// Creates a target; `Conflict` on `targets_name` when it exists.
    pub async fn create_target(&self, name: &str) -> Result<Target> {
        sqlx::query("INSERT INTO targets (name, created) VALUES (?, UTC_TIMESTAMP(3))")
            .bind(name)
            .execute(&self.pool)
            .await?;
        self.target_by_name(name).await?.ok_or(super::Error::RowsAffected {
            table: "targets",
            expected: 1,
            actual: 0,
        })
    }

    /// The target of this name, in any case of letters.
    pub async fn target_by_name(&self, name: &str) -> Result<Option<Target>> {
        // The database would pass over blanks at its end.
        if name.ends_with(' ') {
            return Ok(None);
        }
        let row: Option<Row> = sqlx::query_as("SELECT id, name, created FROM targets WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(Target::from))
    }

    /// All targets, by name.
    pub async fn targets(&self) -> Result<Vec<Target>> {
        let rows: Vec<Row> = sqlx::query_as("SELECT id, name, created FROM targets ORDER BY name")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(Target::from).collect())
    }

    /// Deletes a target. `false`, and nothing deleted, while it has backends or users.
    pub async fn delete_target(&self, target: TargetId) -> Result<bool> {
        // The foreign keys say the same to those who add one at this moment.
        let deleted = sqlx::query(
            "DELETE FROM targets WHERE id = ? AND NOT EXISTS (SELECT 1 FROM backends WHERE target_id = ?)
                 AND NOT EXISTS (SELECT 1 FROM target_uids WHERE target_id = ?)",
        )
        .bind(target.0)
        .bind(target.0)
        .bind(target.0)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected() == 1)
    }
}
