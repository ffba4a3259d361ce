//! Many users with a migration each, written straight into the tables.

use std::time::Duration;

use anyhow::Result;
use dmf_e2e::faults::Keys;
use dmf_lab::poll_until;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

use crate::{rows::SEALED_BYTES, stage::Stage};

/// Users of one statement.
const CHUNK: u64 = 100_000;
/// Longest time to build the queue.
const LIMIT: Duration = Duration::from_mins(10);

/// Adds users `NAME.00000001@mail.example` and so on, as `rows::Row` names them, with a migration that waits.
/// The queue does not know of these before [`build_queue`].
pub(crate) async fn add(stage: &Stage, name: &str, count: u64) -> Result<()> {
    let mut database = MySqlConnection::connect(&stage.fleet.database_url()).await?;
    let (source, host, target) = (stage.ids.source, stage.ids.host, stage.ids.target);
    let mut first = 1;
    while first <= count {
        let last = count.min(first + CHUNK - 1);
        let highest: u64 = sqlx::query_scalar("SELECT CAST(COALESCE(MAX(id), 0) AS UNSIGNED) FROM usersLoad")
            .fetch_one(&mut database)
            .await?;
        let users = format!(
            "INSERT INTO usersLoad (source_uid, target_uid, target_id, sourcehost_id, email, password, password_key,
                 created, modified)
             SELECT uid, uid, {target}, {host}, uid, RANDOM_BYTES({SEALED_BYTES}), 'lab', UTC_TIMESTAMP(3),
                 UTC_TIMESTAMP(3)
             FROM (SELECT CONCAT('{name}.', LPAD(seq, 8, '0'), '@mail.example') AS uid FROM seq_{first}_to_{last}) s"
        );
        let uids = format!(
            "INSERT INTO target_uids (target_id, folded, source_id, user_id)
             SELECT {target}, source_uid, {source}, id FROM usersLoad WHERE id > {highest}"
        );
        let journal = format!(
            "INSERT INTO journalLoad (user_id, sourcehost_id, target_id, status, phase, priority, not_before, forced,
                 created, modified)
             SELECT id, {host}, {target}, 'SCHEDULED', 'PRE_SYNC', FALSE, NULL, FALSE, UTC_TIMESTAMP(3),
                 UTC_TIMESTAMP(3)
             FROM usersLoad WHERE id > {highest}"
        );
        for statement in [users, uids, journal] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database).await?;
        }
        first = last + 1;
    }
    Ok(())
}

/// Has the schedulers build the queue from the tables: Redis forgets everything. Ends when it is there.
pub(crate) async fn build_queue(stage: &Stage) -> Result<()> {
    let keys = Keys::open(stage.fleet.lab())?;
    keys.flush_all().await?;
    poll_until("the queue was not built", LIMIT, async || match keys.is_built().await {
        Ok(true) => Ok(()),
        Ok(false) => Err("not yet".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    })
    .await?;
    Ok(())
}
