//! Users of a Source, and the uniqueness of their target uids over all Sources.

use sqlx::{FromRow, MySqlConnection, Row as _, mysql::MySqlRow};

use super::{Result, Source, Store, spelled::Statement, tables::Tables};
use crate::domain::{
    ids::{HostId, SourceId, TargetId, UserId},
    sealed::Sealed,
    user::{ImapcSsl, User},
};

/// The columns of [`User`], for every statement that reads one; the table is `u`.
pub(super) const COLUMNS: &str = "u.id AS user_id, u.source_uid, u.target_uid, u.target_id, u.sourcehost_id, \
    u.sourceport, u.email, u.password, u.password_key, u.container, u.imapc_options, u.use_imapc_ssl, \
    u.exclude_folders";

fn unreadable(column: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: format!("users.{column}"), source: error.into() }
}

impl FromRow<'_, MySqlRow> for User {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        let list = |column: &str| -> sqlx::Result<Vec<String>> {
            let text: Option<String> = row.try_get(column)?;
            text.map_or(Ok(Vec::new()), |text| {
                serde_json::from_str(&text).map_err(|error| unreadable(column, error))
            })
        };
        let ssl: Option<String> = row.try_get("use_imapc_ssl")?;
        let ssl = ssl
            .map(|text| ImapcSsl::parse(&text).ok_or_else(|| unreadable("use_imapc_ssl", "unknown value")))
            .transpose()?;
        let (password, key): (Option<Vec<u8>>, Option<String>) =
            (row.try_get("password")?, row.try_get("password_key")?);
        Ok(Self {
            id: UserId(row.try_get("user_id")?),
            source_uid: row.try_get("source_uid")?,
            target_uid: row.try_get("target_uid")?,
            target: TargetId(row.try_get("target_id")?),
            sourcehost: HostId(row.try_get("sourcehost_id")?),
            sourceport: row.try_get("sourceport")?,
            email: row.try_get("email")?,
            password: password.zip(key).map(|(bytes, alias)| Sealed { alias, bytes }),
            container: row.try_get("container")?,
            imapc_options: list("imapc_options")?,
            use_imapc_ssl: ssl,
            exclude_folders: list("exclude_folders")?,
        })
    }
}

/// Reads the user of this uid, and locks it until the transaction ends.
pub(super) fn lock(tables: &Tables, source_uid: &str) -> Statement {
    let statement = format!("SELECT {COLUMNS} {}", tables.text("FROM {users} u WHERE u.source_uid = "));
    Statement::new(statement).value(source_uid).sql(" FOR UPDATE")
}

/// The user of this uid, locked until the transaction ends.
pub(super) async fn lock_user(
    connection: &mut MySqlConnection,
    tables: &Tables,
    source_uid: &str,
) -> Result<Option<User>> {
    Ok(lock(tables, source_uid).fetch_all(connection).await?.pop())
}

/// Writes every column of a user: inserted when `user.id` is 0, updated otherwise. Gives its id.
pub(super) async fn write_user(
    connection: &mut MySqlConnection,
    tables: &Tables,
    user: &User,
) -> Result<UserId> {
    let statement = if user.id == UserId(0) {
        "INSERT INTO {users} SET created = UTC_TIMESTAMP(3), modified = UTC_TIMESTAMP(3), source_uid = ?,
             target_uid = ?, target_id = ?, sourcehost_id = ?, sourceport = ?, email = ?, password = ?,
             password_key = ?, container = ?, imapc_options = ?, use_imapc_ssl = ?, exclude_folders = ?"
    } else {
        "UPDATE {users} SET modified = UTC_TIMESTAMP(3), source_uid = ?,
             target_uid = ?, target_id = ?, sourcehost_id = ?, sourceport = ?, email = ?, password = ?,
             password_key = ?, container = ?, imapc_options = ?, use_imapc_ssl = ?, exclude_folders = ?
         WHERE id = ?"
    };
    let list = |items: &[String]| (!items.is_empty()).then(|| serde_json::json!(items).to_string());
    let mut query = sqlx::query(tables.sql(statement))
        .bind(&user.source_uid)
        .bind(&user.target_uid)
        .bind(user.target.0)
        .bind(user.sourcehost.0)
        .bind(user.sourceport)
        .bind(&user.email)
        .bind(user.password.as_ref().map(|sealed| &sealed.bytes[..]))
        .bind(user.password.as_ref().map(|sealed| &sealed.alias[..]))
        .bind(&user.container)
        .bind(list(&user.imapc_options))
        .bind(user.use_imapc_ssl.map(ImapcSsl::as_str))
        .bind(list(&user.exclude_folders));
    if user.id != UserId(0) {
        query = query.bind(user.id.0);
    }
    let written = query.execute(connection).await?;
    Ok(if user.id == UserId(0) { UserId(written.last_insert_id()) } else { user.id })
}

/// Takes the target uid for this user, letting go of the one that it has. `Conflict` on `PRIMARY`
/// when another user of any Source has it, in any case of letters.
pub(super) async fn take_target_uid(
    connection: &mut MySqlConnection,
    source: SourceId,
    user: &User,
    has_one: bool,
) -> Result<()> {
    if has_one {
        sqlx::query("DELETE FROM target_uids WHERE source_id = ? AND user_id = ?")
            .bind(source.0)
            .bind(user.id.0)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("INSERT INTO target_uids (target_id, folded, source_id, user_id) VALUES (?, ?, ?, ?)")
        .bind(user.target.0)
        .bind(user.target_uid.to_lowercase())
        .bind(source.0)
        .bind(user.id.0)
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// The user of this uid.
    pub async fn user(&self, source: &Source, source_uid: &str) -> Result<Option<User>> {
        let statement = format!(
            "SELECT {COLUMNS} {}",
            Tables::of(&source.name).text("FROM {users} u WHERE u.source_uid = ?")
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(source_uid).fetch_optional(&self.pool).await?)
    }
}
