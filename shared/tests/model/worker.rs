//! What workers and guards do.

use super::{
    database::Claimed,
    queue::Then,
    scene::{Clause, DEADLINE, SILENCE, Scene},
    state::{Life, MIGRATIONS, NO_TASK, Stage, State, Task},
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
    pub fn beat_database(&mut self, scene: &Scene, worker: usize) {
        self.workers[worker].beat_database = true;
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
                None if task.left > 0 && task.stage != Stage::Recorded => self.lose(worker, migration),
                _ => {}
            }
        }
    }

    /// Confirms leases in Redis.
    pub fn beat_queue(&mut self, scene: &Scene, worker: usize) {
        self.workers[worker].beat_queue = true;
        for migration in scene.ids() {
            let task = *self.task(worker, migration);
            if task.left == 0 || task.stage == Stage::Recorded {
                continue;
            }
            if self.hear(scene, migration, task.epoch) {
                self.task(worker, migration).left = DEADLINE;
                if scene.has(Clause::SecondWitness)
                    && self.leases[migration].is_some_and(|lease| lease.epoch == task.epoch)
                {
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

    /// Whether a heartbeat must come before time goes on: a worker that runs beats in time.
    pub fn owes_beat(&self, worker: usize) -> bool {
        let worker = &self.workers[worker];
        let live = worker.tasks.iter().any(|task| task.left > 0 && task.stage != Stage::Recorded);
        let owes = (worker.database && !worker.beat_database) || (worker.queue && !worker.beat_queue);
        worker.life == Life::Up && live && owes
    }

    /// Time goes on by one heartbeat.
    pub fn tick(&mut self, scene: &Scene) {
        for worker in &mut self.workers {
            worker.beat_database = false;
            worker.beat_queue = false;
            for (task, child) in worker.tasks.iter_mut().zip(&mut worker.children) {
                if task.stage != Stage::None && task.stage != Stage::Recorded && task.left > 0 {
                    task.left -= 1;
                    // The guard kills, whether its worker runs or not; a worker kills its own only while it runs.
                    if task.left == 0 && (scene.has(Clause::GuardProcess) || worker.life == Life::Up) {
                        *child = false;
                    }
                }
            }
        }
        for lease in self.leases.iter_mut().flatten() {
            lease.silent = (lease.silent + 1).min(SILENCE);
        }
    }

    pub fn crash(&mut self, scene: &Scene, worker: usize) {
        let worker = &mut self.workers[worker];
        worker.life = Life::Dead;
        worker.proposals = [false; MIGRATIONS];
        worker.tasks = [NO_TASK; MIGRATIONS];
        (worker.beat_database, worker.beat_queue) = (false, false);
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
