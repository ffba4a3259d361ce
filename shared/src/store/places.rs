//! The places of users: a target or a source host that is deleted at the moment of a submit must not leave a
//! user, or a migration, that belongs nowhere.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, MySqlConnection};

use super::{Result, tables::placeholders};
use crate::domain::{ids::SourceId, user::User};

/// Holds the places of these users until the transaction ends: whoever deletes one waits. Gives those whose
/// place is gone, by their place in the list, with the field that names it.
pub(super) async fn hold_places(
    connection: &mut MySqlConnection,
    source: SourceId,
    users: &[&User],
) -> Result<Vec<(usize, &'static str)>> {
    let hosts: Vec<u32> = distinct(users.iter().map(|user| user.sourcehost.0));
    let targets: Vec<u32> = distinct(users.iter().map(|user| user.target.0));
    let of_source = "SELECT id FROM sourcehosts WHERE source_id = ? AND id IN";
    let hosts = hold(connection, of_source, Some(source), &hosts).await?;
    let targets = hold(connection, "SELECT id FROM targets WHERE id IN", None, &targets).await?;
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
    statement: &str,
    source: Option<SourceId>,
    ids: &[u32],
) -> Result<HashSet<u32>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = format!("{statement} ({}) ORDER BY id LOCK IN SHARE MODE", placeholders(ids.len(), 1));
    let mut query = sqlx::query_scalar(AssertSqlSafe(statement)).persistent(false);
    if let Some(source) = source {
        query = query.bind(source.0);
    }
    let held: Vec<u32> = ids.iter().fold(query, |query, id| query.bind(*id)).fetch_all(connection).await?;
    Ok(held.into_iter().collect())
}
