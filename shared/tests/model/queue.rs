//! The scripts of Redis, as far as they decide what could run.

use super::{
    scene::{Clause, Scene},
    state::{HOSTS, MIGRATIONS, Note, Slot, State, Status},
};

/// Where a settled job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Drop,
    Ready,
    Blocked,
}

impl State {
    fn slots_of_host(&self, scene: &Scene, host: usize) -> usize {
        scene.ids().filter(|other| scene.host(*other) == host && self.slots[*other] != Slot::Free).count()
    }

    /// A host stands in its ring when it has ready work and room.
    pub fn refresh(&mut self, scene: &Scene, host: usize) {
        let work = scene.ids().any(|other| scene.host(other) == host && self.ready[other]);
        self.ring[host] = work && self.slots_of_host(scene, host) < usize::from(scene.limits[host]);
    }

    /// Redis forgets everything.
    pub fn lose_queue(&mut self) {
        self.built = false;
        self.ready = [false; MIGRATIONS];
        self.slots = [Slot::Free; MIGRATIONS];
        self.ring = [false; HOSTS];
        self.restart_watch();
    }

    /// Another life of the queue: the reaper's counts start again.
    pub fn restart_watch(&mut self) {
        for lease in self.leases.iter_mut().flatten() {
            lease.silent = 0;
        }
    }

    pub fn push(&mut self, scene: &Scene, note: Note) {
        let migration = note.migration as usize;
        match note.status {
            Status::Scheduled => self.push_ready(scene, migration, note.epoch),
            Status::Ended if !note.leased => {
                self.ready[migration] = false;
                let host = scene.host(migration);
                if let Slot::Running(epoch) = self.slots[migration]
                    && epoch <= note.epoch
                {
                    self.slots[migration] = Slot::Free;
                    self.refresh(scene, host);
                } else if !scene.ids().any(|other| scene.host(other) == host && self.ready[other]) {
                    self.ring[host] = false;
                }
            }
            // Its worker's heartbeats and release say what the queue must know.
            _ => {}
        }
    }

    pub fn push_ready(&mut self, scene: &Scene, migration: usize, epoch: u8) {
        let freed = match self.slots[migration] {
            Slot::Free => false,
            Slot::Running(held) if held < epoch => true,
            Slot::Proposal | Slot::Running(_) => return,
        };
        self.slots[migration] = Slot::Free;
        let added = !std::mem::replace(&mut self.ready[migration], true);
        if added || freed || scene.has(Clause::RingRecompute) {
            self.refresh(scene, scene.host(migration));
        }
    }

    fn push_running(&mut self, scene: &Scene, migration: usize, epoch: u8) {
        if self.slots[migration] == Slot::Free {
            self.slots[migration] = Slot::Running(epoch);
            self.refresh(scene, scene.host(migration));
        }
    }

    pub fn may_propose(&self, scene: &Scene, migration: usize) -> bool {
        self.built && self.ready[migration] && self.ring[scene.host(migration)]
    }

    /// Says whether it is proposed; one whose slot is taken is thrown away.
    pub fn propose(&mut self, scene: &Scene, migration: usize) -> bool {
        self.ready[migration] = false;
        let free = self.slots[migration] == Slot::Free;
        if free {
            self.slots[migration] = Slot::Proposal;
        }
        self.refresh(scene, scene.host(migration));
        free
    }

    /// The visibility time of a proposal is over.
    pub fn expire(&mut self, scene: &Scene, migration: usize) {
        self.slots[migration] = Slot::Free;
        self.ready[migration] = true;
        self.refresh(scene, scene.host(migration));
    }

    /// Frees what the epoch covers; 0 is that of a proposal.
    pub fn settle(&mut self, scene: &Scene, migration: usize, epoch: u8, then: Then) {
        let covered = match self.slots[migration] {
            Slot::Free => false,
            // A proposal is ended by its proposer alone.
            Slot::Proposal => epoch == 0,
            Slot::Running(held) => epoch > 0 && held <= epoch,
        };
        if covered {
            self.slots[migration] = Slot::Free;
            self.ready[migration] |= then != Then::Drop;
            self.refresh(scene, scene.host(migration));
            if then == Then::Blocked {
                self.ring[scene.host(migration)] = false;
            }
        }
    }

    /// Says whether it is confirmed.
    pub fn hear(&mut self, scene: &Scene, migration: usize, epoch: u8) -> bool {
        match self.slots[migration] {
            Slot::Running(held) if held > epoch => false,
            Slot::Running(held) if held == epoch => true,
            _ => {
                self.slots[migration] = Slot::Running(epoch);
                self.ready[migration] = false;
                self.refresh(scene, scene.host(migration));
                true
            }
        }
    }

    fn load(&mut self, scene: &Scene) {
        for migration in scene.ids() {
            if let Some(lease) = self.leases[migration] {
                self.push_running(scene, migration, lease.epoch);
            }
        }
        for migration in scene.ids() {
            if self.rows[migration].status == Status::Scheduled {
                self.push_ready(scene, migration, self.rows[migration].epoch);
            }
        }
    }

    pub fn rebuild(&mut self, scene: &Scene) {
        self.built = true;
        self.load(scene);
        self.restart_watch();
    }

    /// Slots without a lease go, leases without a slot get one, forgotten rows are pushed, and every
    /// host is looked at again.
    pub fn reconcile(&mut self, scene: &Scene) {
        for migration in scene.ids() {
            if let (Slot::Running(epoch), None) = (self.slots[migration], self.leases[migration]) {
                self.settle(scene, migration, epoch, Then::Drop);
            }
        }
        self.load(scene);
        if scene.has(Clause::RingRecompute) {
            for host in 0..HOSTS {
                self.refresh(scene, host);
            }
        }
    }
}
