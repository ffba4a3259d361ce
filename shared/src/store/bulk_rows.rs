//! The rows of a batch of submissions, one statement for each table.

use std::collections::HashMap;

use sqlx::MySqlConnection;

use super::{
    Error, Result, Source, bulk::Accepted, spelled::Statement, submit::database_time, tables::Tables,
};
use crate::domain::{
    ids::UserId,
    user::{ImapcSsl, User},
};

/// Inserts the new users and gives them their ids; updates the known ones.
pub(super) async fn write_users(
    connection: &mut MySqlConnection,
    tables: &Tables,
    accepted: &mut [Accepted<'_>],
) -> Result<()> {
    let is_new = |one: &&Accepted<'_>| one.user.id == UserId(0);
    let new: Vec<&User> = accepted.iter().filter(is_new).map(|one| &one.user).collect();
    let known: Vec<&User> = accepted.iter().filter(|one| !is_new(one)).map(|one| &one.user).collect();
    write_user_rows(connection, tables, &known, true).await?;
    write_user_rows(connection, tables, &new, false).await?;
    if new.is_empty() {
        return Ok(());
    }
    let statement = tables.text("SELECT source_uid, id FROM {users} WHERE source_uid IN ");
    let uids = new.iter().map(|user| &user.source_uid);
    let ids: Vec<(String, u64)> = Statement::new(statement).list(uids).fetch_all(connection).await?;
    let ids: HashMap<String, u64> = ids.into_iter().collect();
    for one in accepted.iter_mut().filter(|one| one.user.id == UserId(0)) {
        let id = ids.get(&one.user.source_uid).ok_or(Error::RowsAffected {
            table: "users",
            expected: 1,
            actual: 0,
        })?;
        one.user.id = UserId(*id);
    }
    Ok(())
}

async fn write_user_rows(
    connection: &mut MySqlConnection,
    tables: &Tables,
    users: &[&User],
    known: bool,
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let list = |items: &[String]| (!items.is_empty()).then(|| serde_json::json!(items).to_string());
    let mut statement = Statement::new(tables.text(
        "INSERT INTO {users} (id, source_uid, target_uid, target_id, sourcehost_id, sourceport, email, password,
             password_key, container, imapc_options, use_imapc_ssl, exclude_folders, created, modified) VALUES ",
    ))
    .rows(users, |row, user| {
        row.value(known.then_some(user.id.0))
            .value(&user.source_uid)
            .value(&user.target_uid)
            .value(user.target.0)
            .value(user.sourcehost.0)
            .value(user.sourceport)
            .value(user.email.as_ref())
            .value(user.password.as_ref().map(|sealed| &sealed.bytes[..]))
            .value(user.password.as_ref().map(|sealed| &sealed.alias))
            .value(user.container.as_ref())
            .value(list(&user.imapc_options))
            .value(user.use_imapc_ssl.map(ImapcSsl::as_str))
            .value(list(&user.exclude_folders))
            .sql("UTC_TIMESTAMP(3)")
            .sql("UTC_TIMESTAMP(3)");
    });
    if known {
        statement = statement.sql(
            " ON DUPLICATE KEY UPDATE target_uid = VALUES(target_uid), target_id = VALUES(target_id),
                 sourcehost_id = VALUES(sourcehost_id), sourceport = VALUES(sourceport), email = VALUES(email),
                 password = VALUES(password), password_key = VALUES(password_key), container = VALUES(container),
                 imapc_options = VALUES(imapc_options), use_imapc_ssl = VALUES(use_imapc_ssl),
                 exclude_folders = VALUES(exclude_folders), modified = VALUES(modified)",
        );
    }
    statement.execute(connection).await?;
    Ok(())
}

/// Gives the users the target uids that they take, and lets go of those that they had.
pub(super) async fn write_target_uids(
    connection: &mut MySqlConnection,
    source: &Source,
    accepted: &[Accepted<'_>],
) -> Result<()> {
    let takers: Vec<&User> = accepted.iter().filter(|one| one.takes_uid).map(|one| &one.user).collect();
    if takers.is_empty() {
        return Ok(());
    }
    Statement::new("DELETE FROM target_uids WHERE source_id = ")
        .value(source.id.0)
        .sql(" AND user_id IN ")
        .list(takers.iter().map(|user| user.id.0))
        .execute(&mut *connection)
        .await?;
    Statement::new("INSERT INTO target_uids (target_id, folded, source_id, user_id) VALUES ")
        .rows(takers, |row, user| {
            row.value(user.target.0)
                .value(user.target_uid.to_lowercase())
                .value(source.id.0)
                .value(user.id.0);
        })
        .execute(connection)
        .await?;
    Ok(())
}

/// Inserts the journal rows and their notes for the queue; gives each user's migration.
pub(super) async fn write_rows(
    connection: &mut MySqlConnection,
    tables: &Tables,
    source: &Source,
    accepted: &[Accepted<'_>],
) -> Result<HashMap<u64, u64>> {
    Statement::new(tables.text(
        "INSERT INTO {journal} (user_id, sourcehost_id, target_id, status, phase, priority, not_before, forced,
             created, modified) VALUES ",
    ))
    .rows(accepted, |row, one| {
        row.value(one.user.id.0)
            .value(one.user.sourcehost.0)
            .value(one.user.target.0)
            .sql("'SCHEDULED'")
            .value(one.submission.phase.as_str())
            .value(one.submission.priority)
            .value(one.submission.not_before.map(database_time))
            .value(one.submission.force)
            .sql("UTC_TIMESTAMP(3)")
            .sql("UTC_TIMESTAMP(3)");
    })
    .execute(&mut *connection)
    .await?;
    let users = accepted.iter().map(|one| one.user.id.0);
    let inserted = tables.text("SELECT open_user, id FROM {journal} WHERE open_user IN ");
    let ids: Vec<(u64, u64)> = Statement::new(inserted).list(users).fetch_all(&mut *connection).await?;
    Statement::new("INSERT INTO outbox (kind, source_id, ref_id) VALUES ")
        .rows(&ids, |row, (_, id)| {
            row.sql("'MIGRATION'").value(source.id.0).value(id);
        })
        .execute(connection)
        .await?;
    Ok(ids.into_iter().collect())
}
