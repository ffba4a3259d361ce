//! The places of users: a target or a source host that is deleted at the moment of a submit must not leave a
//! user, or a migration, that belongs nowhere.

use std::collections::{BTreeSet, HashSet};

use sqlx::MySqlConnection;

use super::{
    Result, Store,
    bulk::LockWait,
    spelled::{Answer, Statement},
};
use crate::domain::{
    ids::{HostId, SourceId, TargetId},
    user::User,
};

impl Store {
    /// The target and the source host of these names, as far as they are given and there are such.
    pub async fn places_by_name(
        &self,
        source: SourceId,
        target: Option<&str>,
        sourcehost: Option<&str>,
    ) -> Result<(Option<TargetId>, Option<HostId>)> {
        // The database would pass over blanks at the end of a name.
        let exact = |name: &&str| !name.ends_with(' ');
        let (target, host): (Option<u32>, Option<u32>) = sqlx::query_as(
            "SELECT (SELECT id FROM targets WHERE name = ?),
                (SELECT id FROM sourcehosts WHERE source_id = ? AND name = ?)",
        )
        .bind(target.filter(exact))
        .bind(source.0)
        .bind(sourcehost.filter(exact))
        .fetch_one(&self.pool)
        .await?;
        Ok((target.map(TargetId), host.map(HostId)))
    }
}

/// Holds the places of these users until the transaction ends: whoever deletes one waits. Gives those whose
/// place is gone, by their place in the list, with the field that names it.
pub(super) async fn hold_places(
    connection: &mut MySqlConnection,
    source: SourceId,
    users: &[&User],
    wait: LockWait,
) -> Result<Vec<(usize, &'static str)>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let hosts = Statement::new("SELECT id FROM sourcehosts WHERE source_id = ").value(source.0);
    let hosts = hold(hosts.sql(" AND id IN "), users.iter().map(|user| user.sourcehost.0), wait);
    let targets = Statement::new("SELECT id FROM targets WHERE id IN ");
    let targets = hold(targets, users.iter().map(|user| user.target.0), wait);
    let [hosts, targets] = hosts.then(&targets).run(connection).await?;
    let (hosts, targets) = (ids(&hosts)?, ids(&targets)?);
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

/// Locks the rows of these ids, in order, so that two submits never wait for each other.
fn hold(rows: Statement, ids: impl Iterator<Item = u32>, wait: LockWait) -> Statement {
    let ids: BTreeSet<u32> = ids.collect();
    rows.list(&ids).sql(" ORDER BY id LOCK IN SHARE MODE").sql(wait.reading)
}

fn ids(held: &Answer) -> Result<HashSet<u32>> {
    Ok(held.read::<(u32,)>()?.into_iter().map(|(id,)| id).collect())
}
