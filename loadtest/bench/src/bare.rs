//! The floor: the statements of a submit, and the rows of a bulk, from a client that does nothing else.

use std::time::Duration;

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection as _, MySql, MySqlConnection, QueryBuilder, Row as _};

use crate::{
    rows::{Row, SEALED_BYTES},
    stage::{HOST, Ids, TARGET},
};

/// The session of every connection of the product, so that commits and locks mean the same.
const SESSION: &str = "SET SESSION tx_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 10,
    lock_wait_timeout = 10, idle_transaction_timeout = 20";

const USER: &str = "SELECT u.id AS user_id, u.source_uid, u.target_uid, u.target_id, u.sourcehost_id,
    u.sourceport, u.email, u.password, u.password_key, u.container, u.imapc_options, u.use_imapc_ssl,
    u.exclude_folders FROM usersLoad u WHERE u.source_uid = ? FOR UPDATE";
const INSERT_USER: &str = "INSERT INTO usersLoad SET created = UTC_TIMESTAMP(3), modified = UTC_TIMESTAMP(3),
    source_uid = ?, target_uid = ?, target_id = ?, sourcehost_id = ?, email = ?, password = ?, password_key = 'lab'";
const INSERT_ROW: &str =
    "INSERT INTO journalLoad (user_id, sourcehost_id, target_id, status, phase, priority,
    not_before, forced, trace, created, modified)
    VALUES (?, ?, ?, 'SCHEDULED', 'PRE_SYNC', FALSE, NULL, FALSE, NULL, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))
    RETURNING id, user_id, created, status, phase, priority, epoch, not_before, started, stopped, modified, backend,
    attempt, details, target_message_count, target_mailbox_size, source_message_count, source_mailbox_size,
    expunged_message_count, sync_message_count, sync_speed, verification";

/// A connection of the bare client.
#[derive(Debug)]
pub(crate) struct Bare {
    database: MySqlConnection,
    ids: Ids,
    sealed: [u8; SEALED_BYTES],
}

impl Bare {
    pub(crate) async fn connect(url: &str, ids: Ids) -> Result<Self> {
        let mut database = MySqlConnection::connect(url).await?;
        sqlx::query(SESSION).execute(&mut database).await?;
        let mut sealed = [0; SEALED_BYTES];
        fastrand::fill(&mut sealed);
        Ok(Self { database, ids, sealed })
    }

    /// The statements of one submit of a new user, the audit's included.
    pub(crate) async fn submit(&mut self, row: &Row) -> Result<()> {
        let Self { database, ids, sealed } = self;
        sqlx::query("SELECT id, name, paused, rate_limit FROM sources WHERE api_key_hash = ?")
            .bind(&sealed[..32])
            .fetch_optional(&mut *database)
            .await?;
        sqlx::query("SELECT id, name FROM targets WHERE name = ?")
            .bind(TARGET)
            .fetch_one(&mut *database)
            .await?;
        sqlx::query("SELECT * FROM sourcehosts WHERE source_id = ? AND name = ?")
            .bind(ids.source)
            .bind(HOST)
            .fetch_one(&mut *database)
            .await?;
        let mut tx = database.begin().await?;
        sqlx::query(USER).bind(&row.uid).fetch_optional(&mut *tx).await?;
        sqlx::query(
            "SELECT id FROM sourcehosts WHERE source_id = ? AND id IN (?) ORDER BY id LOCK IN SHARE MODE",
        )
        .bind(ids.source)
        .bind(ids.host)
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query("SELECT id FROM targets WHERE id IN (?) ORDER BY id LOCK IN SHARE MODE")
            .bind(ids.target)
            .fetch_all(&mut *tx)
            .await?;
        let user = sqlx::query(INSERT_USER)
            .bind(&row.uid)
            .bind(&row.uid)
            .bind(ids.target)
            .bind(ids.host)
            .bind(&row.uid)
            .bind(&sealed[..])
            .execute(&mut *tx)
            .await?
            .last_insert_id();
        sqlx::query("INSERT INTO target_uids (target_id, folded, source_id, user_id) VALUES (?, ?, ?, ?)")
            .bind(ids.target)
            .bind(&row.uid)
            .bind(ids.source)
            .bind(user)
            .execute(&mut *tx)
            .await?;
        let id: u64 = sqlx::query(INSERT_ROW)
            .bind(user)
            .bind(ids.host)
            .bind(ids.target)
            .fetch_one(&mut *tx)
            .await?
            .try_get(0)?;
        sqlx::query("INSERT INTO outbox (kind, source_id, ref_id) VALUES ('MIGRATION', ?, ?)")
            .bind(ids.source)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO audit (at, actor, peer, request_id, method, path, fields, status)
             VALUES (UTC_TIMESTAMP(3), 'source:Load', '127.0.0.1', ?, 'POST', '/dmf/api/v2/users/migrations', ?, 201)",
        )
        .bind("7e9dd55c-3b58-4ac5-9d75-2a4a3f3ef2f1")
        .bind(row.body().to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The rows of a batch of new users, in one transaction of one insert for each table. Batches of one size
    /// share their prepared statements: to close one costs a wait (see `shared/src/store/spelled.rs`).
    pub(crate) async fn insert(&mut self, rows: &[Row]) -> Result<()> {
        let Self { database, ids, sealed } = self;
        let mut tx = database.begin().await?;
        let mut users = QueryBuilder::<MySql>::new(
            "INSERT INTO usersLoad (source_uid, target_uid, target_id, sourcehost_id, email, password,
                 password_key, created, modified) ",
        );
        users.push_values(rows, |mut values, row| {
            values
                .push_bind(row.uid.clone())
                .push_bind(row.uid.clone())
                .push_bind(ids.target)
                .push_bind(ids.host)
                .push_bind(row.uid.clone())
                .push_bind(sealed.to_vec())
                .push("'lab'")
                .push("UTC_TIMESTAMP(3)")
                .push("UTC_TIMESTAMP(3)");
        });
        // Ids of one insert follow each other.
        let first = users.build().execute(&mut *tx).await?.last_insert_id();
        let mut uids =
            QueryBuilder::<MySql>::new("INSERT INTO target_uids (target_id, folded, source_id, user_id) ");
        uids.push_values(rows.iter().zip(first..), |mut values, (row, user)| {
            values.push_bind(ids.target).push_bind(row.uid.clone()).push_bind(ids.source).push_bind(user);
        });
        uids.build().execute(&mut *tx).await?;
        let mut journal = QueryBuilder::<MySql>::new(
            "INSERT INTO journalLoad (user_id, sourcehost_id, target_id, status, phase, priority, not_before,
                 forced, created, modified) ",
        );
        journal.push_values((first..).take(rows.len()), |mut values, user| {
            values
                .push_bind(user)
                .push_bind(ids.host)
                .push_bind(ids.target)
                .push("'SCHEDULED', 'PRE_SYNC', FALSE, NULL, FALSE, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3)");
        });
        let id = journal.build().execute(&mut *tx).await?.last_insert_id();
        let mut outbox = QueryBuilder::<MySql>::new("INSERT INTO outbox (kind, source_id, ref_id) ");
        outbox.push_values((id..).take(rows.len()), |mut values, id| {
            values.push("'MIGRATION'").push_bind(ids.source).push_bind(id);
        });
        outbox.build().execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// How often these statements were run since the server started.
pub(crate) async fn statements(url: &str) -> Result<Vec<(String, u64)>> {
    let mut database = MySqlConnection::connect(url).await?;
    let counted = AssertSqlSafe("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_insert', 'Com_update')");
    let rows: Vec<(String, String)> = sqlx::query_as(counted).fetch_all(&mut database).await?;
    Ok(rows.into_iter().map(|(name, count)| (name, count.parse().unwrap_or_default())).collect())
}

/// Waits until the relays have carried everything, so that the next measurement begins where this one did.
pub(crate) async fn wait_for_relays(url: &str) -> Result<()> {
    let mut database = MySqlConnection::connect(url).await?;
    let what = "the outbox did not become empty";
    let empty = async || -> Result<i64> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&mut database).await?)
    };
    let mut empty = empty;
    dmf_lab::poll_until(what, Duration::from_mins(2), async || match empty().await {
        Ok(0) => Ok(()),
        Ok(left) => Err(format!("{left} entries")),
        Err(error) => Err(format!("{error:#}")),
    })
    .await?;
    Ok(())
}
