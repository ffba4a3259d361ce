//! Source hosts: the mail servers of a Source, each with its limit.

use sqlx::{FromRow, Row as _, mysql::MySqlRow};
use time::OffsetDateTime;

use super::{Result, Source, Store, outbox, tables::Tables};
use crate::domain::{
    command::Command,
    ids::{HostId, SourceId},
};

/// What the admin defines.
#[derive(Debug, Clone)]
pub struct NewSourcehost {
    /// Host name or address.
    pub name: String,
    /// IMAP port; `None` leaves it to the command.
    pub port: Option<u16>,
    /// Most migrations at a time, over the whole fleet.
    pub max_connections: u32,
    /// How many of them are kept for priority migrations.
    pub reserved_for_priority: u32,
    /// The command of `PRE_SYNC`, and of CUTOVER where `migration_command2` is none.
    pub migration_command1: Command,
    /// The command of CUTOVER.
    pub migration_command2: Option<Command>,
    /// Counts the mailbox on the source.
    pub status_command: Option<Command>,
}

/// What the admin changes. `None` leaves a value as it is, `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct SourcehostChange {
    /// IMAP port.
    pub port: Option<Option<u16>>,
    /// Most migrations at a time, over the whole fleet.
    pub max_connections: Option<u32>,
    /// How many of them are kept for priority migrations.
    pub reserved_for_priority: Option<u32>,
    /// The command of `PRE_SYNC`.
    pub migration_command1: Option<Command>,
    /// The command of CUTOVER.
    pub migration_command2: Option<Option<Command>>,
    /// Counts the mailbox on the source.
    pub status_command: Option<Option<Command>>,
}

/// A source host as it is stored.
#[derive(Debug, Clone)]
pub struct Sourcehost {
    /// Row id.
    pub id: HostId,
    /// The Source that it belongs to.
    pub source: SourceId,
    /// What the admin defined.
    pub definition: NewSourcehost,
    /// Nothing of it starts while set.
    pub paused: bool,
    /// Nothing of it starts before this time.
    pub suspended_until: Option<OffsetDateTime>,
    /// Why it is suspended.
    pub suspended_reason: Option<String>,
}

/// A source host with its use.
#[derive(Debug, Clone)]
pub struct HostView {
    /// The host.
    pub host: Sourcehost,
    /// Leases that count against its limit.
    pub connections_in_use: u64,
    /// Whether its suspension lasts.
    pub suspended: bool,
}

/// The columns of [`Sourcehost`], for every statement that reads one.
pub(super) const COLUMNS: &str = "h.id, h.source_id, h.name, h.port, h.max_connections, \
    h.reserved_for_priority, h.migration_command1, h.migration_command2, h.status_command, h.paused, \
    h.suspended_until, h.suspended_reason";

impl FromRow<'_, MySqlRow> for Sourcehost {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let optional = |column: &str| -> sqlx::Result<Option<Command>> {
            let text: Option<String> = row.try_get(column)?;
            text.map(|text| decode_command(column, &text)).transpose()
        };
        let first: String = row.try_get("migration_command1")?;
        Ok(Self {
            id: HostId(row.try_get("id")?),
            source: SourceId(row.try_get("source_id")?),
            definition: NewSourcehost {
                name: row.try_get("name")?,
                port: row.try_get("port")?,
                max_connections: row.try_get("max_connections")?,
                reserved_for_priority: row.try_get("reserved_for_priority")?,
                migration_command1: decode_command("migration_command1", &first)?,
                migration_command2: optional("migration_command2")?,
                status_command: optional("status_command")?,
            },
            paused: row.try_get("paused")?,
            suspended_until: row.try_get("suspended_until")?,
            suspended_reason: row.try_get("suspended_reason")?,
        })
    }
}

fn decode_command(column: &str, text: &str) -> sqlx::Result<Command> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::ColumnDecode {
        index: format!("sourcehosts.{column}"),
        source: Box::new(error),
    })
}

fn encode_command(command: &Command) -> String {
    serde_json::json!(command).to_string()
}

impl Store {
    /// Creates a source host; `Conflict` on `sourcehosts_name` when this Source has one of that name.
    pub async fn create_sourcehost(&self, source: SourceId, new: &NewSourcehost) -> Result<HostId> {
        let mut tx = self.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO sourcehosts (source_id, name, port, max_connections, reserved_for_priority,
                 migration_command1, migration_command2, status_command, created, modified)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))",
        )
        .bind(source.0)
        .bind(&new.name)
        .bind(new.port)
        .bind(new.max_connections)
        .bind(new.reserved_for_priority)
        .bind(encode_command(&new.migration_command1))
        .bind(new.migration_command2.as_ref().map(encode_command))
        .bind(new.status_command.as_ref().map(encode_command))
        .execute(&mut *tx)
        .await?;
        let id = HostId(
            u32::try_from(inserted.last_insert_id())
                .map_err(|_| super::Error::Inconsistent { table: "sourcehosts", column: "id" })?,
        );
        outbox::add_host(&mut tx, id).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Names of the other Sources that have a source host of this name.
    pub async fn other_sources_of_host(&self, source: SourceId, host: &str) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "SELECT s.name FROM sourcehosts h JOIN sources s ON s.id = h.source_id
             WHERE h.name = ? AND h.source_id <> ? ORDER BY s.name",
        )
        .bind(host)
        .bind(source.0)
        .fetch_all(&self.pool)
        .await?)
    }

    /// Id and name of each source host of a Source.
    pub async fn sourcehost_names(&self, source: SourceId) -> Result<Vec<(HostId, String)>> {
        let rows: Vec<(u32, String)> =
            sqlx::query_as("SELECT id, name FROM sourcehosts WHERE source_id = ? ORDER BY name")
                .bind(source.0)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(id, name)| (HostId(id), name)).collect())
    }

    /// All source hosts of a Source with their use, by name; with `name`, that one alone.
    pub async fn sourcehosts(&self, source: SourceId, name: Option<&str>) -> Result<Vec<HostView>> {
        // The database would pass over blanks at its end.
        if name.is_some_and(|name| name.ends_with(' ')) {
            return Ok(Vec::new());
        }
        let statement = format!(
            "SELECT {COLUMNS}, (SELECT COUNT(*) FROM leases l WHERE l.sourcehost_id = h.id) AS in_use,
                 COALESCE(h.suspended_until > UTC_TIMESTAMP(3), FALSE) AS suspended
             FROM sourcehosts h WHERE h.source_id = ? AND (? IS NULL OR h.name = ?) ORDER BY h.name"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(source.0)
            .bind(name)
            .bind(name)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let in_use: i64 = row.try_get("in_use")?;
                Ok(HostView {
                    host: Sourcehost::from_row(row)?,
                    connections_in_use: in_use.unsigned_abs(),
                    suspended: row.try_get("suspended")?,
                })
            })
            .collect()
    }

    /// Changes a source host. A lower limit drains: nothing is killed. `false`, and nothing changed, when
    /// the reservation would not stay below the limit, or the host is gone.
    pub async fn update_sourcehost(&self, host: HostId, change: &SourcehostChange) -> Result<bool> {
        let mut statement =
            sqlx::QueryBuilder::<sqlx::MySql>::new("UPDATE sourcehosts SET modified = UTC_TIMESTAMP(3)");
        if let Some(port) = change.port {
            statement.push(", port = ").push_bind(port);
        }
        if let Some(command) = &change.migration_command1 {
            statement.push(", migration_command1 = ").push_bind(encode_command(command));
        }
        if let Some(command) = &change.migration_command2 {
            statement.push(", migration_command2 = ").push_bind(command.as_ref().map(encode_command));
        }
        if let Some(command) = &change.status_command {
            statement.push(", status_command = ").push_bind(command.as_ref().map(encode_command));
        }
        if let Some(limit) = change.max_connections {
            statement.push(", max_connections = ").push_bind(limit);
        }
        if let Some(reserved) = change.reserved_for_priority {
            statement.push(", reserved_for_priority = ").push_bind(reserved);
        }
        statement.push(" WHERE id = ").push_bind(host.0);
        // Both as they will be: another admin may change the other one at the same moment.
        statement.push(" AND COALESCE(").push_bind(change.reserved_for_priority);
        statement.push(", reserved_for_priority) < COALESCE(").push_bind(change.max_connections);
        statement.push(", max_connections)");
        let mut tx = self.begin().await?;
        if statement.build().execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        outbox::add_host(&mut tx, host).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes a source host. `false`, and nothing deleted, while it has users, open migrations or leases.
    pub async fn delete_sourcehost(&self, source: &Source, host: HostId) -> Result<bool> {
        let mut tx = self.begin().await?;
        // Locked by a statement of its own: the next one sees the user of whoever held it before.
        sqlx::query("SELECT id FROM sourcehosts WHERE id = ? FOR UPDATE")
            .bind(host.0)
            .fetch_optional(&mut *tx)
            .await?;
        let deleted = sqlx::query(Tables::of(&source.name).sql(
            "DELETE FROM sourcehosts WHERE id = ? AND NOT EXISTS (SELECT 1 FROM leases WHERE sourcehost_id = ?)
                 AND NOT EXISTS (SELECT 1 FROM {users} WHERE sourcehost_id = ?)
                 AND NOT EXISTS (SELECT 1 FROM {journal} WHERE sourcehost_id = ? AND status IN ('SCHEDULED', 'SYNC'))",
        ))
        .bind(host.0)
        .bind(host.0)
        .bind(host.0)
        .bind(host.0)
        .execute(&mut *tx)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        outbox::add_host(&mut tx, host).await?;
        tx.commit().await?;
        Ok(true)
    }
}
