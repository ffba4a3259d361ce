//! The places of users: a target or a source host that is deleted at the moment of a submit must not leave a
//! user, or a migration, that belongs nowhere.

use std::collections::HashSet;

use sqlx::MySqlConnection;

use super::{Result, bulk::LockWait, spelled::Statement};
use crate::domain::{ids::SourceId, user::User};

/// Holds the places of these users until the transaction ends: whoever deletes one waits. Gives those whose
/// place is gone, by their place in the list, with the field that names it.
pub(super) async fn hold_places(
    connection: &mut MySqlConnection,
    source: SourceId,
    users: &[&User],
    wait: LockWait,
) -> Result<Vec<(usize, &'static str)>> {
    let hosts: Vec<u32> = distinct(users.iter().map(|user| user.sourcehost.0));
    let targets: Vec<u32> = distinct(users.iter().map(|user| user.target.0));
    let of_source = Statement::new("SELECT id FROM sourcehosts WHERE source_id = ").value(source.0);
    let hosts = hold(connection, of_source.sql(" AND id IN "), &hosts, wait).await?;
    let targets =
        hold(connection, Statement::new("SELECT id FROM targets WHERE id IN "), &targets, wait).await?;
    let gone = users.iter().enumerate().filter_map(|(index, user)| {
        if !targets.contains(&user.target.0) {
            Some((index, "target"))
        } else if !hosts.contains(&user.sourcehost.0) {
            Some((index, "sourcehost"))
        } else {
            None
        }
    });
    Ok(gone.collect())
}

/// In order, so that two submits never wait for each other.
fn distinct(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    ids.collect::<std::collections::BTreeSet<u32>>().into_iter().collect()
}

async fn hold(
    connection: &mut MySqlConnection,
    statement: Statement,
    ids: &[u32],
    wait: LockWait,
) -> Result<HashSet<u32>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = statement.list(ids).sql(" ORDER BY id LOCK IN SHARE MODE").sql(wait.reading);
    let held: Vec<(u32,)> = statement.fetch_all(connection).await?;
    Ok(held.into_iter().map(|(id,)| id).collect())
}
