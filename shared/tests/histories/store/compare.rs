//! What the store shows, beside the model and beside what it showed before.

use std::collections::BTreeMap;

use dmf_lab::poll_until;
use dmf_shared::{
    domain::{
        ids::{Epoch, JournalId},
        migration::Status,
    },
    store::{Batch, JobRow, Store},
};

use super::{World, answered, call::USERS, model::Row, same};
use crate::{check, histories::campaign::Checked, support::PATIENCE};

/// What was seen of each row last.
pub type Seen = BTreeMap<JournalId, (Status, Epoch)>;

/// A pause of the Source notes every host, also those of earlier histories.
const ALL: u32 = 100_000;

/// Takes out what an earlier history has left.
pub async fn empty_outbox(store: &Store) -> Checked {
    loop {
        let batch = answered(store.next_outbox_batch(ALL).await)?;
        if batch.is_empty() {
            return Ok(());
        }
        answered(batch.done().await)?;
    }
}

impl World<'_> {
    /// All rows and leases of this history.
    pub async fn compare(&mut self) -> Checked {
        self.compare_leases().await?;
        self.compare_waiting().await?;
        for user in 0..USERS {
            self.compare_user(user).await?;
        }
        Ok(())
    }

    async fn compare_leases(&self) -> Checked {
        let beats = answered(self.scene.store.lease_beats().await)?;
        let ours = beats.iter().filter(|lease| self.model.rows.contains_key(&lease.job.journal));
        let mut got: Vec<_> = ours.map(|lease| (lease.job.journal, lease.epoch.0, lease.beat)).collect();
        got.sort_unstable();
        let expected: Vec<_> =
            self.model.leases.iter().map(|(id, lease)| (*id, lease.epoch, lease.beat)).collect();
        same(&got, &expected)?;
        let mut users: Vec<_> = got.iter().map(|(id, ..)| self.model.rows[id].user).collect();
        users.sort_unstable();
        users.dedup();
        check!(users.len() == got.len(), "a user has two leases: {got:?}");
        Ok(())
    }

    /// What a rebuild of the queue reads.
    async fn compare_waiting(&self) -> Checked {
        let Some(first) = self.model.rows.keys().next() else { return Ok(()) };
        let after = JournalId(first.0 - 1);
        let waiting = answered(self.scene.store.waiting_jobs(&self.scene.source, after, ALL).await)?;
        let got: Vec<_> = waiting.iter().map(|row| row.job.journal).collect();
        let is_waiting = |(id, row): (&JournalId, &Row)| (row.status == Status::Scheduled).then_some(*id);
        same(&got, &self.model.rows.iter().filter_map(is_waiting).collect())?;
        waiting.iter().try_for_each(|row| self.compare_job_row(row, false))
    }

    fn compare_job_row(&self, got: &JobRow, with_lease: bool) -> Checked {
        let row = &self.model.rows[&got.job.journal];
        let right = got.status == row.status
            && got.epoch.0 == row.epoch
            && (got.host, got.priority) == (row.host, row.priority)
            && (row.status != Status::Scheduled || (got.wait_ms > 0) == row.later);
        check!(right, "the queue is told {got:?} of {row:?}");
        if with_lease {
            let lease = self.model.leases.get(&got.job.journal).map(|lease| (lease.epoch, lease.wanted));
            same(&got.lease.map(|lease| (lease.epoch.0, lease.wanted)), &lease)?;
        }
        Ok(())
    }

    async fn compare_user(&mut self, user: usize) -> Checked {
        let Some(id) = self.users.get(&user) else { return Ok(()) };
        let records = answered(self.scene.store.history(&self.scene.source, *id, None, ALL).await)?;
        let expected = self.model.rows.values().filter(|row| row.user == user).count();
        check!(records.len() == expected, "user {user} has {} records, not {expected}", records.len());
        for record in records {
            let row = &self.model.rows[&record.id];
            let right = (record.status, record.epoch.0) == (row.status, row.epoch)
                && (record.attempt, record.priority) == (row.attempt, row.priority)
                && record.stopped.is_some() == row.status.is_terminal();
            check!(right, "{record:?} is not {row:?}");
            if let Some((status, epoch)) = self.seen.insert(record.id, (record.status, record.epoch)) {
                check!(record.epoch >= epoch, "the epoch of {} fell from {epoch}", record.id);
                let changed = (status, epoch) != (record.status, record.epoch);
                check!(!status.is_terminal() || !changed, "{} was {status:?} and changed", record.id);
            }
        }
        Ok(())
    }

    /// Takes the outbox as a relay does; where that relay dies, another one takes it.
    pub async fn relay(&mut self, dies: bool) -> Checked {
        let batch = answered(self.scene.store.next_outbox_batch(ALL).await)?;
        self.compare_batch(&batch)?;
        let batch = if dies { self.take_again(batch).await? } else { batch };
        if !batch.is_empty() {
            answered(batch.done().await)?;
        }
        self.model.noted_jobs.clear();
        self.model.noted_hosts.clear();
        self.model.gone_hosts.clear();
        Ok(())
    }

    async fn take_again(&self, batch: Batch) -> Checked<Batch> {
        let entries = batch.len();
        drop(batch);
        let again = poll_until("the outbox is free again", PATIENCE, async || {
            let batch = self.scene.store.next_outbox_batch(ALL).await.map_err(|error| error.to_string())?;
            if batch.len() == entries { Ok(batch) } else { Err(format!("{} entries", batch.len())) }
        });
        let batch = again.await.map_err(|error| error.to_string())?;
        self.compare_batch(&batch)?;
        Ok(batch)
    }

    /// What the outbox says of each entry is what stands in the row now.
    fn compare_batch(&self, batch: &Batch) -> Checked {
        let mut jobs: Vec<_> = batch.jobs.iter().map(|row| row.job.journal).collect();
        jobs.sort_unstable();
        same(&jobs, &self.model.noted_jobs.iter().copied().collect())?;
        for row in &batch.jobs {
            self.compare_job_row(row, true)?;
        }
        same(&batch.gone_hosts.iter().copied().collect(), &self.model.gone_hosts)?;
        for host in &self.model.hosts {
            let told = batch.hosts.iter().find(|row| row.host == host.id).map(|row| row.limit);
            let limit = if host.is_closed() || self.model.source_paused { 0 } else { host.limit };
            same(&told, &self.model.noted_hosts.contains(&host.id).then_some(limit))?;
        }
        Ok(())
    }
}
