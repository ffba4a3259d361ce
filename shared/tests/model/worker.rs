//! What workers and guards do.

use super::{
    database::Claimed,
    queue::Then,
    scene::{Clause, DEADLINE, SILENCE, Scene},
    state::{Life, MIGRATIONS, NO_TASK, Stage, State, Task, WORKERS},
};

impl State {
    /// What a claim follows from; `answered` is whether the worker hears of it.
    pub fn decide(&mut self, scene: &Scene, worker: usize, migration: usize, answered: bool) {
        self.workers[worker].proposals[migration] = false;
        let claimed = self.claim(scene, worker, migration);
        if !answered {
            return;
        }
        let then = match claimed {
            Claimed::Granted(epoch) => {
                *self.task(worker, migration) = Task { stage: Stage::Claimed, epoch, left: DEADLINE };
                return;
            }
            Claimed::NotWaiting => Then::Drop,
            Claimed::Blocked => Then::Blocked,
            // Delayed for a moment; its time comes by itself.
            Claimed::UserLeased => Then::Ready,
        };
        if self.workers[worker].queue {
            self.settle(scene, migration, 0, then);
        }
    }

    /// A claim is told to Redis at once; heartbeats do it again.
    pub fn tell_queue(&mut self, scene: &Scene, worker: usize, migration: usize) {
        let epoch = self.task(worker, migration).epoch;
        self.hear(scene, migration, epoch);
    }

    /// A guard starts nothing after the deadline.
    pub fn start_child(&mut self, worker: usize, migration: usize) {
        self.task(worker, migration).stage = Stage::Running;
        self.workers[worker].children[migration] = true;
    }

    /// The child is dead: by itself, or killed.
    pub fn child_ends(&mut self, worker: usize, migration: usize) {
        self.workers[worker].children[migration] = false;
        let task = self.task(worker, migration);
        if task.stage == Stage::Running {
            task.stage = Stage::Done;
        }
    }

    fn stop_child(&mut self, worker: usize, migration: usize, stage: Stage) {
        self.workers[worker].children[migration] = false;
        let task = self.task(worker, migration);
        if matches!(task.stage, Stage::Claimed | Stage::Running) {
            task.stage = stage;
        }
    }

    /// The worker is stopped: what runs goes back.
    pub fn stop(&mut self, worker: usize) {
        for migration in 0..MIGRATIONS {
            self.stop_child(worker, migration, Stage::GoingBack);
        }
    }

    /// The lease is dead and nothing more runs under it: what nobody else has taken is handed back.
    pub fn give_up(&mut self, worker: usize, migration: usize) {
        self.workers[worker].children[migration] = false;
        let epoch = std::mem::replace(self.task(worker, migration), NO_TASK).epoch;
        if self.workers[worker].database {
            self.take_back(migration, epoch);
        }
    }

    pub fn record(&mut self, scene: &Scene, worker: usize, migration: usize) {
        let epoch = self.task(worker, migration).epoch;
        self.finish(scene, migration, epoch);
        self.task(worker, migration).stage = Stage::Recorded;
    }

    pub fn hand_back(&mut self, worker: usize, migration: usize) {
        let epoch = self.task(worker, migration).epoch;
        self.take_back(migration, epoch);
        self.task(worker, migration).stage = Stage::Recorded;
    }

    pub fn release(&mut self, scene: &Scene, worker: usize, migration: usize) {
        let epoch = std::mem::replace(self.task(worker, migration), NO_TASK).epoch;
        if self.workers[worker].queue {
            self.settle(scene, migration, epoch, Then::Drop);
        }
    }

    /// Confirms leases in MariaDB and reads back what is wanted of them.
    fn beat_database(&mut self, scene: &Scene, worker: usize) {
        for migration in scene.ids() {
            let task = *self.task(worker, migration);
            let mine = self.leases[migration].filter(|lease| usize::from(lease.worker) == worker);
            match mine {
                // A claim whose answer never came.
                Some(lease) if task.stage == Stage::None || task.epoch != lease.epoch => {
                    self.take_back(migration, lease.epoch);
                }
                Some(lease) if task.left > 0 => {
                    self.task(worker, migration).left = DEADLINE;
                    self.heard(migration);
                    if lease.unwanted {
                        self.stop_child(worker, migration, Stage::Done);
                    }
                }
                None if task.is_live() => self.lose(worker, migration),
                _ => {}
            }
        }
    }

    /// Confirms leases in Redis.
    fn beat_queue(&mut self, scene: &Scene, worker: usize) {
        for migration in scene.ids() {
            let task = *self.task(worker, migration);
            if !task.is_live() {
                continue;
            }
            if self.hear(scene, migration, task.epoch) {
                self.task(worker, migration).left = DEADLINE;
                let mine = self.leases[migration].is_some_and(|lease| lease.epoch == task.epoch);
                if mine && scene.has(Clause::SecondWitness) {
                    self.heard(migration);
                }
            } else {
                self.lose(worker, migration);
            }
        }
    }

    fn heard(&mut self, migration: usize) {
        if let Some(lease) = &mut self.leases[migration] {
            lease.silent = 0;
        }
    }

    fn lose(&mut self, worker: usize, migration: usize) {
        self.workers[worker].children[migration] = false;
        self.task(worker, migration).left = 0;
    }

    /// The time from one heartbeat to the next goes by. A worker that runs beats in each; one that does
    /// not beat in time is frozen, as far as others can see.
    pub fn tick(&mut self, scene: &Scene) {
        for worker in 0..WORKERS {
            if self.workers[worker].life == Life::Up {
                if self.workers[worker].queue {
                    self.beat_queue(scene, worker);
                }
                if self.workers[worker].database {
                    self.beat_database(scene, worker);
                }
            }
            self.near_deadlines(scene, worker);
        }
        for lease in self.leases.iter_mut().flatten() {
            lease.silent = (lease.silent + 1).min(SILENCE);
        }
    }

    fn near_deadlines(&mut self, scene: &Scene, worker: usize) {
        let worker = &mut self.workers[worker];
        // The guard kills, whether its worker runs or not; a worker kills its own only while it runs.
        let kills = scene.has(Clause::GuardProcess) || worker.life == Life::Up;
        for (task, child) in worker.tasks.iter_mut().zip(&mut worker.children) {
            if task.is_live() {
                task.left -= 1;
                *child &= task.left > 0 || !kills;
            }
        }
    }

    pub fn crash(&mut self, scene: &Scene, worker: usize) {
        let worker = &mut self.workers[worker];
        worker.life = Life::Dead;
        worker.proposals = [false; MIGRATIONS];
        worker.tasks = [NO_TASK; MIGRATIONS];
        if scene.has(Clause::GuardProcess) {
            worker.children = [false; MIGRATIONS];
        }
    }

    /// Kills what the process before left behind and hands its leases back.
    pub fn restart(&mut self, worker: usize) {
        self.workers[worker].life = Life::Up;
        self.workers[worker].children = [false; MIGRATIONS];
        self.hand_back_all(worker);
    }

    /// What a process that takes this worker's name does to the leases of that name.
    pub fn hand_back_all(&mut self, worker: usize) {
        for migration in 0..MIGRATIONS {
            if let Some(lease) = self.leases[migration].filter(|lease| usize::from(lease.worker) == worker) {
                self.take_back(migration, lease.epoch);
            }
        }
    }
}
