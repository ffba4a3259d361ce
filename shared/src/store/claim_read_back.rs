//! What became of a claim whose answer never came.

use std::collections::{BTreeMap, HashMap};

use sqlx::MySqlConnection;

use super::{
    Error, Result, Source, Store,
    claim::{ClaimRequest, Claimed, Holder},
    claim_rows::{Admission, Begun, begin_claim, by_id, lock_rows, read_users},
    spelled::Statement,
    tables::Tables,
};
use crate::domain::ids::{Epoch, HostId, JournalId, SourceId};

impl Store {
    /// Those of `requests` that this incarnation holds. Takes the locks of a claim, so that it waits for a
    /// commit that is still on its way: what is not in the answer was not claimed, and never will be by
    /// that claim.
    pub async fn read_back_claim(&self, holder: &Holder, requests: &[ClaimRequest]) -> Result<Vec<Claimed>> {
        super::retry_deadlocked(|| self.read_back_once(holder, requests)).await
    }

    async fn read_back_once(&self, holder: &Holder, requests: &[ClaimRequest]) -> Result<Vec<Claimed>> {
        let (mut tx, Begun { hosts, sources }) = begin_claim(self, requests).await?;
        let mut by_source: BTreeMap<SourceId, Vec<ClaimRequest>> = BTreeMap::new();
        for request in requests {
            by_source.entry(request.job.source).or_default().push(*request);
        }
        let mut claimed = Vec::new();
        for (id, requests) in by_source {
            if let Some(source) = sources.get(&id) {
                claimed.extend(held_of_source(&mut tx, holder, source, &requests, &hosts).await?);
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }
}

async fn held_of_source(
    connection: &mut MySqlConnection,
    holder: &Holder,
    source: &Source,
    requests: &[ClaimRequest],
    hosts: &HashMap<HostId, Admission>,
) -> Result<Vec<Claimed>> {
    let tables = Tables::of(&source.name);
    let rows = lock_rows(connection, source, &tables, requests).await?;
    let leases = leases_among(connection, holder, source, requests).await?;
    // A row with another epoch was closed meanwhile: its lease is handed back like any unknown one.
    let held: Vec<_> =
        leases.iter().filter_map(|(id, epoch)| rows.get(id).filter(|row| row.epoch == *epoch)).collect();
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let [users] = read_users(&tables, &held).run(connection).await?;
    let mut users = by_id(&users)?;
    held.into_iter()
        .map(|row| {
            let missing = |column| Error::Inconsistent { table: "journal", column };
            let user = users.remove(&row.user).ok_or(missing("user_id"))?;
            let host = hosts.get(&row.host).ok_or(missing("sourcehost_id"))?;
            Ok(row.claimed(row.epoch, source, user, &host.host))
        })
        .collect()
}

async fn leases_among(
    connection: &mut MySqlConnection,
    holder: &Holder,
    source: &Source,
    requests: &[ClaimRequest],
) -> Result<Vec<(JournalId, Epoch)>> {
    let statement = Statement::new("SELECT journal_id, epoch FROM leases WHERE backend_id = ")
        .value(holder.backend.0)
        .sql(" AND incarnation = ")
        .value(holder.incarnation)
        .sql(" AND source_id = ")
        .value(source.id.0)
        .sql(" AND journal_id IN ")
        .list(requests.iter().map(|request| request.job.journal.0));
    let leases: Vec<(u64, u64)> = statement.fetch_all(connection).await?;
    Ok(leases.into_iter().map(|(id, epoch)| (JournalId(id), Epoch(epoch))).collect())
}
