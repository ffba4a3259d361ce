//! Batches of submits, notes of a worker, deletions and suspensions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dmf_shared::{
    domain::{
        ids::{HostId, JournalId, UserId},
        migration::Status,
    },
    store::{BulkAccepted, Counts, Finish, SubmitError, Suspension, UserError},
};
use serde_json::json;

use super::{
    World, answered,
    call::{Age, Call, HOSTS, Which},
    model::Undeletable,
    same,
};
use crate::{check, histories::campaign::Checked, support};

impl World<'_> {
    pub async fn submit_batch(&mut self, users: &BTreeMap<usize, bool>, dry_run: bool) -> Checked {
        let mut batch = Vec::new();
        for (user, priority) in users {
            let mut submission = self.scene.submission(&self.uid(*user));
            submission.user.sourcehost = Some(self.model.hosts[user % HOSTS].id);
            submission.priority = *priority;
            batch.push(submission);
        }
        let answers = answered(self.scene.store.submit_batch(&self.scene.source, &batch, dry_run).await)?;
        check!(answers.len() == batch.len(), "{answers:?}");
        for ((user, priority), answer) in users.iter().zip(answers) {
            match (answer, self.model.open(*user)) {
                (Err(SubmitError::Open(id)), Some(open)) if id == open => {}
                (Ok(BulkAccepted::Valid(_)), None) if dry_run => {}
                (Ok(BulkAccepted::Created(id)), None) if !dry_run => {
                    let id_of_user = self.user_id(*user).await?;
                    self.users.insert(*user, id_of_user);
                    self.model.submit(id, *user, *priority, false);
                }
                (answer, open) => return Err(format!("a batch said {answer:?}, and {open:?} is open")),
            }
        }
        Ok(())
    }

    async fn user_id(&self, user: usize) -> Checked<UserId> {
        let found = answered(self.scene.store.user(&self.scene.source, &self.uid(user)).await)?;
        found.map(|user| user.id).ok_or_else(|| format!("user {user} is not there"))
    }

    pub async fn note_attempt(&mut self, which: Which, age: Age, attempt: u32) -> Checked {
        let Some(id) = self.model.find(which) else { return Ok(()) };
        let epoch = self.model.epoch(id, age);
        let (store, source) = (&self.scene.store, &self.scene.source);
        let (job, carried) = (self.model.job(id), json!({}));
        let noted = answered(store.note_attempt(source, job, epoch, attempt, &carried).await)?;
        same(&noted, &self.model.note_attempt(id, epoch, attempt))
    }

    pub async fn note_end(&mut self, which: Which, age: Age, end: Status) -> Checked {
        let Some(id) = self.model.find(which) else { return Ok(()) };
        let epoch = self.model.epoch(id, age);
        let (store, source) = (&self.scene.store, &self.scene.source);
        let result = Finish {
            status: end,
            details: json!([{ "pre": { "success": true } }]),
            counts: Counts::default(),
            verification: None,
            attempt: 0,
        };
        let noted = answered(store.note_end(source, self.model.job(id), epoch, &result).await)?;
        same(&noted, &self.model.note_end(id, epoch, end))
    }

    pub async fn change(&mut self, change: &Call) -> Checked {
        match *change {
            Call::CancelAll => {
                let cancelled = answered(self.scene.store.cancel_some(&self.scene.source).await)?;
                same(&cancelled, &self.model.cancel_all())
            }
            Call::SuspendHost(n) => {
                let suspension = Suspension { lasts: Duration::from_hours(1), reason: "trouble".to_owned() };
                let host = &mut self.model.hosts[n];
                host.suspended = true;
                self.model.noted_hosts.insert(host.id);
                answered(self.scene.store.suspend_sourcehost(host.id, &suspension).await)
            }
            Call::DeleteUser(user) => self.delete_user(user).await,
            Call::DeleteHost(n) => self.delete_host(n).await,
            ref other => Err(format!("{other:?} is no change")),
        }
    }

    async fn delete_user(&mut self, user: usize) -> Checked {
        let deleted = self.scene.store.delete_user(&self.scene.source, &self.uid(user)).await;
        if !self.users.contains_key(&user) {
            check!(matches!(deleted, Err(UserError::NotFound)), "nobody was deleted: {deleted:?}");
            return Ok(());
        }
        let expected = self.model.delete_user(user);
        match (deleted, expected) {
            (Ok(()), Ok(())) => {
                self.users.remove(&user);
                let left: BTreeSet<JournalId> = self.model.rows.keys().copied().collect();
                self.seen.retain(|id, _| left.contains(id));
                Ok(())
            }
            (Err(UserError::Open(id)), Err(Undeletable::Open(open))) => same(&id, &open),
            (Err(UserError::Leased(id)), Err(Undeletable::Leased(leased))) => same(&id, &leased),
            (deleted, expected) => Err(format!("a deletion said {deleted:?}, not {expected:?}")),
        }
    }

    /// In the place of one that is deleted comes another one.
    async fn delete_host(&mut self, n: usize) -> Checked {
        let id = self.model.hosts[n].id;
        let used = self.users.keys().any(|user| user % HOSTS == n);
        let deleted = answered(self.scene.store.delete_sourcehost(&self.scene.source, id).await)?;
        check!(deleted != used, "host {id} with users: {used} was deleted: {deleted}");
        if deleted {
            self.model.noted_hosts.remove(&id);
            self.model.gone_hosts.insert(id);
            self.model.hosts[n] = self.add_host(n).await;
            self.model.noted_hosts.insert(self.model.hosts[n].id);
        }
        Ok(())
    }

    async fn add_host(&self, n: usize) -> super::Host {
        let name = format!("history{}.host{n}", self.number);
        let id: HostId = support::add_host(&self.scene.store, &self.scene.source, &name, 2).await;
        super::Host { id, limit: 2, paused: false, suspended: false }
    }
}
