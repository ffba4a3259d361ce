//! The audit log: who changed what by API, when, from where.

use serde_json::Value;
use sqlx::{FromRow, MySql, MySqlConnection, QueryBuilder, Row as _, mysql::MySqlRow};
use time::OffsetDateTime;

use super::{Error, Result, Store, spelled::Statement, submit::database_time};

/// A change that is about to be tried.
#[derive(Debug, Clone)]
pub struct Intent {
    /// `admin:<name>` or `source:<name>`.
    pub actor: String,
    /// Address of the client.
    pub peer: Option<String>,
    /// The id that the answer and the log carry.
    pub request_id: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
}

/// A change that is noted with itself, in its own transaction: there is an entry where there is a change.
#[derive(Debug, Clone)]
pub struct Noted {
    /// Who does what from where.
    pub intent: Intent,
    /// The fields that were given, without any that may hold a secret.
    pub fields: Option<Value>,
    /// HTTP status of the answer to the change.
    pub status: u16,
}

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Row id.
    pub id: u64,
    /// When it was begun.
    pub at: OffsetDateTime,
    /// Who did what from where.
    pub intent: Intent,
    /// The fields that were given, without any that may hold a secret.
    pub fields: Option<Value>,
    /// HTTP status of the answer; none when nobody saw the end.
    pub status: Option<u16>,
}

/// Which entries a page holds.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Those of this actor.
    pub actor: Option<String>,
    /// Those at this time or later.
    pub from: Option<OffsetDateTime>,
    /// Those before this time.
    pub until: Option<OffsetDateTime>,
    /// Those below this one.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

impl FromRow<'_, MySqlRow> for AuditEntry {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let fields: Option<String> = row.try_get("fields")?;
        let fields = fields.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
            sqlx::Error::ColumnDecode { index: "audit.fields".to_owned(), source: Box::new(error) }
        })?;
        Ok(Self {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            intent: Intent {
                actor: row.try_get("actor")?,
                peer: row.try_get("peer")?,
                request_id: row.try_get("request_id")?,
                method: row.try_get("method")?,
                path: row.try_get("path")?,
            },
            fields,
            status: row.try_get("status")?,
        })
    }
}

/// The first characters of a text, as many as its column holds.
fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// Notes changes in their transaction.
pub(super) fn note_all<'n>(noted: impl IntoIterator<Item = &'n Noted>) -> Statement {
    Statement::new("INSERT INTO audit (at, actor, peer, request_id, method, path, fields, status) VALUES ")
        .rows(noted, |row, Noted { intent, fields, status }| {
            row.sql("UTC_TIMESTAMP(3)")
                .value(cut(&intent.actor, 320))
                .value(intent.peer.as_deref().map(|peer| cut(peer, 64)))
                .value(intent.request_id.as_deref().map(|id| cut(id, 64)))
                .value(cut(&intent.method, 16))
                .value(cut(&intent.path, 2048))
                .value(fields.as_ref().map(Value::to_string))
                .value(*status);
        })
}

async fn insert(
    connection: &mut MySqlConnection,
    intent: &Intent,
    fields: Option<&Value>,
    status: Option<u16>,
) -> Result<u64> {
    let inserted = sqlx::query(
        "INSERT INTO audit (at, actor, peer, request_id, method, path, fields, status)
         VALUES (UTC_TIMESTAMP(3), ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(cut(&intent.actor, 320))
    .bind(intent.peer.as_deref().map(|peer| cut(peer, 64)))
    .bind(intent.request_id.as_deref().map(|id| cut(id, 64)))
    .bind(cut(&intent.method, 16))
    .bind(cut(&intent.path, 2048))
    .bind(fields.map(Value::to_string))
    .bind(status)
    .execute(connection)
    .await?;
    Ok(inserted.last_insert_id())
}

impl Store {
    /// Notes a change before it is tried; gives the id of its entry.
    pub async fn begin_audit(&self, intent: &Intent) -> Result<u64> {
        let mut connection = self.pool.acquire().await?;
        let id = insert(&mut connection, intent, None, None).await?;
        connection.give_back();
        Ok(id)
    }

    /// Notes how a change ended, and what was given for it.
    pub async fn end_audit(&self, id: u64, status: u16, fields: Option<&Value>) -> Result<()> {
        let updated = sqlx::query("UPDATE audit SET status = ?, fields = COALESCE(?, fields) WHERE id = ?")
            .bind(status)
            .bind(fields.map(Value::to_string))
            .bind(id)
            .execute(&self.pool)
            .await?;
        super::error::expect_rows("audit", 1, updated.rows_affected())
    }

    /// Notes more of a change whose answer is a stream.
    pub async fn tell_audit(&self, id: u64, fields: &Value) -> Result<()> {
        sqlx::query("UPDATE audit SET fields = ? WHERE id = ?")
            .bind(fields.to_string())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Takes back the note of a change that was refused.
    pub async fn drop_audit(&self, id: u64) -> Result<()> {
        sqlx::query("DELETE FROM audit WHERE id = ?").bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// A page of the log, newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, Error> {
        let mut statement = QueryBuilder::<MySql>::new(
            "SELECT id, at, actor, peer, request_id, method, path, fields, status FROM audit WHERE id < ",
        );
        statement.push_bind(filter.before.unwrap_or(u64::MAX));
        if let Some(actor) = &filter.actor {
            statement.push(" AND actor = ").push_bind(actor.clone());
        }
        for (condition, time) in [(" AND at >= ", filter.from), (" AND at < ", filter.until)] {
            if let Some(time) = time {
                statement.push(condition).push_bind(database_time(time));
            }
        }
        statement.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
        Ok(statement.build_query_as().fetch_all(&self.pool).await?)
    }
}
