//! The transactions of MariaDB. Each is one step, as the database makes it.

use super::{
    scene::{Clause, Scene},
    state::{Lease, Note, State, Status},
};

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// With this epoch.
    Granted(u8),
    NotWaiting,
    Blocked,
    UserLeased,
}

impl State {
    fn end(&mut self, migration: usize) {
        self.rows[migration].status = Status::Ended;
        self.rows[migration].ends += 1;
    }

    fn is_running(&self, migration: usize, epoch: u8) -> bool {
        self.rows[migration].status == Status::Sync && self.rows[migration].epoch == epoch
    }

    fn delete_lease(&mut self, migration: usize, epoch: u8) {
        if self.leases[migration].is_some_and(|lease| lease.epoch == epoch) {
            self.leases[migration] = None;
        }
    }

    /// A user has at most one open row.
    pub fn may_submit(&self, scene: &Scene, migration: usize) -> bool {
        let before = scene.ids().take(migration);
        self.rows[migration].status == Status::Absent
            && before
                .filter(|other| scene.user(*other) == scene.user(migration))
                .all(|other| self.rows[other].status == Status::Ended)
    }

    pub fn submit(&mut self, migration: usize) {
        self.rows[migration].status = Status::Scheduled;
        self.outbox[migration] = true;
    }

    /// The row as it is now, for the queue; the entry leaves the outbox.
    pub fn read_note(&mut self, migration: usize) -> Note {
        self.outbox[migration] = false;
        let row = self.rows[migration];
        let leased = self.leases[migration].is_some();
        Note { migration: u8::try_from(migration).unwrap(), status: row.status, epoch: row.epoch, leased }
    }

    fn leases_of_host(&self, scene: &Scene, host: usize) -> usize {
        scene.ids().filter(|other| scene.host(*other) == host && self.leases[*other].is_some()).count()
    }

    pub fn claim(&mut self, scene: &Scene, worker: usize, migration: usize) -> Claimed {
        if self.rows[migration].status != Status::Scheduled {
            return Claimed::NotWaiting;
        }
        let user = scene.user(migration);
        if scene.ids().any(|other| scene.user(other) == user && self.leases[other].is_some()) {
            return Claimed::UserLeased;
        }
        let limit = usize::from(scene.limits[scene.host(migration)]);
        if self.leases_of_host(scene, scene.host(migration)) >= limit {
            return Claimed::Blocked;
        }
        let row = &mut self.rows[migration];
        self.broken.cancel |= row.cancelled;
        row.status = Status::Sync;
        row.epoch += 1;
        row.cancel_requested = false;
        let epoch = row.epoch;
        self.leases[migration] =
            Some(Lease { worker: u8::try_from(worker).unwrap(), epoch, unwanted: false, silent: 0 });
        self.broken.limit |= self.leases_of_host(scene, scene.host(migration)) > limit;
        Claimed::Granted(epoch)
    }

    pub fn finish(&mut self, scene: &Scene, migration: usize, epoch: u8) {
        if self.is_running(migration, epoch) || !scene.has(Clause::FinishGuard) {
            self.end(migration);
        }
        self.delete_lease(migration, epoch);
    }

    /// Hand-back and reap: both are fenced by the epoch and honour a cancel.
    pub fn take_back(&mut self, migration: usize, epoch: u8) {
        if self.is_running(migration, epoch) {
            self.rows[migration].epoch += 1;
            if self.rows[migration].cancel_requested {
                self.end(migration);
            } else {
                self.rows[migration].status = Status::Scheduled;
            }
            self.outbox[migration] = true;
        }
        self.delete_lease(migration, epoch);
    }

    pub fn reap(&mut self, migration: usize) {
        if let Some(lease) = self.leases[migration] {
            self.take_back(migration, lease.epoch);
            self.outbox[migration] = true;
        }
    }

    pub fn cancel(&mut self, scene: &Scene, migration: usize) {
        self.rows[migration].cancelled = true;
        if self.rows[migration].status == Status::Scheduled {
            self.rows[migration].epoch += 1;
            self.end(migration);
        } else {
            self.rows[migration].cancel_requested = scene.has(Clause::CancelFlag);
            self.mark_unwanted(migration);
        }
        self.outbox[migration] = true;
    }

    pub fn close(&mut self, migration: usize) {
        self.rows[migration].epoch += 1;
        self.end(migration);
        self.mark_unwanted(migration);
        self.outbox[migration] = true;
    }

    fn mark_unwanted(&mut self, migration: usize) {
        if let Some(lease) = &mut self.leases[migration] {
            lease.unwanted = true;
        }
    }
}
