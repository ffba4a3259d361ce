//! The rows of a batch of submissions, one statement for each table.

use std::collections::HashMap;

use sqlx::{FromRow, MySqlConnection, mysql::MySqlRow};

use super::{
    Error, Record, Result, Source, Submission,
    bulk::{Accepted, LockWait},
    error::expect_rows,
    journal::RETURNING,
    spelled::{Statement, Value},
    submit::database_time,
    tables::Tables,
};
use crate::domain::{
    ids::{JournalId, SourceId, UserId},
    user::{ImapcSsl, User},
};

/// What is wanted of inserted rows of the journal.
pub(super) trait Inserted: for<'r> FromRow<'r, MySqlRow> + Send + Unpin {
    /// The end of the insert that gives it.
    const RETURNING: &str;

    /// Row and user.
    fn ids(&self) -> (JournalId, UserId);
}

impl Inserted for (u64, u64) {
    const RETURNING: &str = " RETURNING id, user_id";

    fn ids(&self) -> (JournalId, UserId) {
        (JournalId(self.0), UserId(self.1))
    }
}

/// Its source uid stays empty.
impl Inserted for Record {
    const RETURNING: &str = RETURNING;

    fn ids(&self) -> (JournalId, UserId) {
        (self.id, self.user)
    }
}

/// Writes all rows of these submissions, and gives the new users their ids. What was inserted into the journal comes
/// in the order of the submissions.
pub(super) async fn write_accepted<I: Inserted>(
    connection: &mut MySqlConnection,
    tables: &Tables,
    source: &Source,
    accepted: &mut [Accepted<'_>],
    wait: LockWait,
) -> Result<Vec<I>> {
    write_users(connection, tables, accepted, wait).await?;
    write_target_uids(connection, source, accepted, wait).await?;
    write_rows(connection, tables, source, accepted, wait).await
}

/// Inserts the new users and gives them their ids; updates the known ones.
async fn write_users(
    connection: &mut MySqlConnection,
    tables: &Tables,
    accepted: &mut [Accepted<'_>],
    LockWait { writing, .. }: LockWait,
) -> Result<()> {
    let known: Vec<&User> = accepted.iter().filter(|one| one.is_known).map(|one| &one.user).collect();
    if !known.is_empty() {
        Statement::new(writing).go_on(&update_users(tables, &known)).execute(connection).await?;
    }
    let new: Vec<&User> = accepted.iter().filter(|one| !one.is_known).map(|one| &one.user).collect();
    if new.is_empty() {
        return Ok(());
    }
    let inserted =
        Statement::new(writing).go_on(&insert_users(tables, &new)).sql(" RETURNING source_uid, id");
    let ids: HashMap<String, u64> =
        inserted.fetch_all::<(String, u64)>(connection).await?.into_iter().collect();
    for one in accepted.iter_mut().filter(|one| !one.is_known) {
        one.user.id = UserId(*ids.get(&one.user.source_uid).ok_or(missing("users"))?);
    }
    Ok(())
}

const fn missing(table: &'static str) -> Error {
    Error::RowsAffected { table, expected: 1, actual: 0 }
}

/// Inserts new users.
pub(super) fn insert_users(tables: &Tables, users: &[&User]) -> Statement {
    user_rows(tables, users, false)
}

/// Writes every column of users that are there.
fn update_users(tables: &Tables, users: &[&User]) -> Statement {
    user_rows(tables, users, true).sql(
        " ON DUPLICATE KEY UPDATE target_uid = VALUES(target_uid), target_id = VALUES(target_id),
             sourcehost_id = VALUES(sourcehost_id), sourceport = VALUES(sourceport), email = VALUES(email),
             password = VALUES(password), password_key = VALUES(password_key), container = VALUES(container),
             imapc_options = VALUES(imapc_options), use_imapc_ssl = VALUES(use_imapc_ssl),
             exclude_folders = VALUES(exclude_folders), modified = VALUES(modified)",
    )
}

fn user_rows(tables: &Tables, users: &[&User], known: bool) -> Statement {
    let list = |items: &[String]| (!items.is_empty()).then(|| serde_json::json!(items).to_string());
    Statement::new(tables.text(
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
    })
}

/// Gives the users the target uids that they take, and lets go of those that they had.
async fn write_target_uids(
    connection: &mut MySqlConnection,
    source: &Source,
    accepted: &[Accepted<'_>],
    LockWait { writing, .. }: LockWait,
) -> Result<()> {
    let takers: Vec<&Accepted<'_>> = accepted.iter().filter(|one| one.takes_uid).collect();
    let movers: Vec<u64> = takers.iter().filter(|one| one.is_known).map(|one| one.user.id.0).collect();
    if !movers.is_empty() {
        Statement::new("DELETE FROM target_uids WHERE source_id = ")
            .value(source.id.0)
            .sql(" AND user_id IN ")
            .list(movers)
            .execute(&mut *connection)
            .await?;
    }
    if takers.is_empty() {
        return Ok(());
    }
    let insert = insert_target_uids(source.id, takers.iter().map(|one| (&one.user, one.user.id.0)));
    Statement::new(writing).go_on(&insert).execute(connection).await?;
    Ok(())
}

/// Takes the target uids for these users, whose ids stand beside them.
pub(super) fn insert_target_uids<'u>(
    source: SourceId,
    users: impl IntoIterator<Item = (&'u User, impl Value)>,
) -> Statement {
    Statement::new("INSERT INTO target_uids (target_id, folded, source_id, user_id) VALUES ").rows(
        users,
        |row, (user, id)| {
            row.value(user.target.0).value(user.target_uid.to_lowercase()).value(source.0).value(id);
        },
    )
}

/// Inserts the rows of the journal, with these ids of their users.
pub(super) fn insert_rows<'s>(
    tables: &Tables,
    rows: impl IntoIterator<Item = (&'s User, impl Value, &'s Submission)>,
) -> Statement {
    Statement::new(tables.text(
        "INSERT INTO {journal} (user_id, sourcehost_id, target_id, status, phase, priority, not_before, forced,
             trace, created, modified) VALUES ",
    ))
    .rows(rows, |row, (user, id, submission)| {
        row.value(id)
            .value(user.sourcehost.0)
            .value(user.target.0)
            .sql("'SCHEDULED'")
            .value(submission.phase.as_str())
            .value(submission.priority)
            .value(submission.not_before.map(database_time))
            .value(submission.force)
            .value(submission.trace.map(|trace| trace.to_string()))
            .sql("UTC_TIMESTAMP(3)")
            .sql("UTC_TIMESTAMP(3)");
    })
}

/// Inserts the journal rows and their notes for the queue.
async fn write_rows<I: Inserted>(
    connection: &mut MySqlConnection,
    tables: &Tables,
    source: &Source,
    accepted: &[Accepted<'_>],
    LockWait { writing, .. }: LockWait,
) -> Result<Vec<I>> {
    let rows = accepted.iter().map(|one| (&one.user, one.user.id.0, one.submission));
    let inserted: Vec<I> = Statement::new(writing)
        .go_on(&insert_rows(tables, rows))
        .sql(I::RETURNING)
        .fetch_all(connection)
        .await?;
    let noted = Statement::new("INSERT INTO outbox (kind, source_id, ref_id) VALUES ")
        .rows(&inserted, |row, inserted| {
            row.sql("'MIGRATION'").value(source.id.0).value(inserted.ids().0.0);
        })
        .execute(connection)
        .await?;
    expect_rows("outbox", accepted.len() as u64, noted)?;
    let mut of_users: HashMap<UserId, I> =
        inserted.into_iter().map(|inserted| (inserted.ids().1, inserted)).collect();
    accepted.iter().map(|one| of_users.remove(&one.user.id).ok_or(missing("journal"))).collect()
}
