//! Everything that can happen, when it can, and what it does.

use super::{
    scene::{Clause, SILENCE, Scene},
    state::{Life, Note, Slot, Stage, State, Status, WORKERS},
};

/// A step. Numbers are those of a worker, a migration, or both in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Submit(usize),
    Cancel(usize),
    Close(usize),
    Stop(usize),
    RelayReads(usize),
    RelayPushes,
    RelayFails,
    Rebuild,
    Reconcile,
    Reap(usize),
    Propose(usize, usize),
    /// The visibility time of a proposal is over.
    Expire(usize),
    Claim(usize, usize),
    ClaimUnanswered(usize, usize),
    /// A proposal that can't be claimed is left to its visibility time.
    Forget(usize, usize),
    StartChild(usize, usize),
    ChildEnds(usize, usize),
    Record(usize, usize),
    RecordUnanswered(usize, usize),
    HandBack(usize, usize),
    GiveUp(usize, usize),
    Release(usize, usize),
    BeatDatabase(usize),
    BeatQueue(usize),
    Tick,
    Crash(usize),
    Restart(usize),
    Freeze(usize),
    Wake(usize),
    CutDatabase(usize),
    HealDatabase(usize),
    CutQueue(usize),
    HealQueue(usize),
    LoseQueue,
    /// A second process takes the name of a live worker.
    Twin(usize),
}

impl Scene {
    /// All steps that are possible, faults included.
    pub fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        self.operators(state, actions);
        self.schedulers(state, actions);
        for worker in 0..WORKERS {
            self.work(state, worker, actions);
            self.faults_of(state, worker, actions);
        }
        if state.faults > 0 && state.built {
            actions.push(Action::LoseQueue);
        }
        let waits = self.ids().any(|m| state.leases[m].is_some())
            || state.workers.iter().any(|worker| worker.tasks.iter().any(|task| task.left > 0));
        if waits && !(0..WORKERS).any(|worker| state.owes_beat(worker)) {
            actions.push(Action::Tick);
        }
    }

    fn operators(&self, state: &State, actions: &mut Vec<Action>) {
        for m in self.ids() {
            if state.may_submit(self, m) {
                actions.push(Action::Submit(m));
            }
            if state.orders > 0 && matches!(state.rows[m].status, Status::Scheduled | Status::Sync) {
                actions.extend([Action::Cancel(m), Action::Close(m)]);
            }
        }
    }

    fn schedulers(&self, state: &State, actions: &mut Vec<Action>) {
        match state.relay {
            None => actions.extend(self.ids().filter(|m| state.outbox[*m]).map(Action::RelayReads)),
            Some(_) if state.built => actions.push(Action::RelayPushes),
            Some(_) => actions.push(Action::RelayFails),
        }
        actions.push(if state.built { Action::Reconcile } else { Action::Rebuild });
        for m in self.ids() {
            if state.leases[m].is_some_and(|lease| lease.silent >= SILENCE) {
                actions.push(Action::Reap(m));
            }
            if state.built && state.slots[m] == Slot::Proposal {
                actions.push(Action::Expire(m));
            }
        }
    }

    fn work(&self, state: &State, w: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[w];
        for m in self.ids() {
            if worker.children[m] {
                actions.push(Action::ChildEnds(w, m));
            }
        }
        match worker.life {
            Life::Up => {}
            Life::Frozen => return actions.push(Action::Wake(w)),
            Life::Dead if worker.database => return actions.push(Action::Restart(w)),
            Life::Dead => return,
        }
        for m in self.ids() {
            if worker.queue && worker.database && !worker.proposals[m] && state.may_propose(self, m) {
                actions.push(Action::Propose(w, m));
            }
            if worker.proposals[m] && worker.tasks[m].stage == Stage::None {
                actions.push(if worker.database { Action::Claim(w, m) } else { Action::Forget(w, m) });
            }
            self.go_on(state, w, m, actions);
        }
        if worker.database && !worker.beat_database && self.beats_database(state, w) {
            actions.push(Action::BeatDatabase(w));
        }
        if worker.queue && self.beats_queue(state, w) {
            actions.push(Action::BeatQueue(w));
        }
    }

    /// How a lease goes on.
    fn go_on(&self, state: &State, w: usize, m: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[w];
        let task = worker.tasks[m];
        match task.stage {
            Stage::None => {}
            Stage::Claimed | Stage::Running if task.left == 0 => actions.push(Action::GiveUp(w, m)),
            Stage::Claimed => actions.push(Action::StartChild(w, m)),
            Stage::Running => {}
            // A result is offered whether the lease is alive or not: MariaDB decides.
            Stage::Done if worker.database => actions.push(Action::Record(w, m)),
            Stage::GoingBack if worker.database => actions.push(Action::HandBack(w, m)),
            Stage::Done if task.left > 0 => {}
            Stage::Done | Stage::GoingBack => actions.push(Action::GiveUp(w, m)),
            Stage::Recorded => actions.push(Action::Release(w, m)),
        }
    }

    fn beats_database(&self, state: &State, w: usize) -> bool {
        self.ids().any(|m| {
            let task = state.workers[w].tasks[m];
            let live = task.left > 0 && task.stage != Stage::Recorded;
            live || state.leases[m]
                .is_some_and(|lease| usize::from(lease.worker) == w && !state.knows(m, &lease))
        })
    }

    /// Once in a tick, and besides as soon as the queue does not know a claim.
    fn beats_queue(&self, state: &State, w: usize) -> bool {
        self.ids().any(|m| {
            let task = state.workers[w].tasks[m];
            let live = task.left > 0 && task.stage != Stage::Recorded;
            live && (!state.workers[w].beat_queue || state.slots[m] != Slot::Running(task.epoch))
        })
    }

    fn faults_of(&self, state: &State, w: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[w];
        if !worker.database {
            actions.push(Action::HealDatabase(w));
        }
        if !worker.queue {
            actions.push(Action::HealQueue(w));
        }
        if state.orders > 0 && worker.life == Life::Up && worker.tasks.iter().any(|task| task.left > 0) {
            actions.push(Action::Stop(w));
        }
        if state.faults == 0 || worker.life == Life::Dead {
            return;
        }
        actions.push(Action::Crash(w));
        if worker.life == Life::Up {
            actions.push(Action::Freeze(w));
            self.unanswered(state, w, actions);
        }
        if worker.database {
            actions.push(Action::CutDatabase(w));
        }
        if worker.queue {
            actions.push(Action::CutQueue(w));
        }
        if !self.has(Clause::RefusalOfTwins) {
            actions.push(Action::Twin(w));
        }
    }

    fn unanswered(&self, state: &State, w: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[w];
        for m in self.ids().filter(|_| worker.database) {
            if worker.proposals[m] && worker.tasks[m].stage == Stage::None {
                actions.push(Action::ClaimUnanswered(w, m));
            }
            if worker.tasks[m].stage == Stage::Done {
                actions.push(Action::RecordUnanswered(w, m));
            }
        }
    }

    /// The state after a step.
    pub fn after(&self, before: &State, action: Action) -> State {
        let mut state = *before;
        self.apply(&mut state, action);
        let grows = |m: usize| state.rows[m].epoch >= before.rows[m].epoch;
        state.broken.epoch |= !self.ids().all(grows);
        state
    }

    fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Submit(m) => state.submit(m),
            Action::Reconcile => state.reconcile(self),
            Action::Rebuild => state.rebuild(self),
            Action::Reap(m) => state.reap(m),
            Action::Expire(m) => state.expire(self, m),
            Action::RelayReads(m) => self.read_note(state, m),
            Action::RelayPushes => {
                if let Some(note) = state.relay.take() {
                    state.push(self, note);
                }
            }
            Action::RelayFails => {
                if let Some(note) = state.relay.take() {
                    state.outbox[note.migration as usize] = true;
                }
            }
            Action::Propose(w, m) => state.workers[w].proposals[m] = state.propose(self, m),
            Action::Claim(w, m) => state.decide(self, w, m, true),
            Action::Forget(w, m) => state.workers[w].proposals[m] = false,
            Action::StartChild(w, m) => state.start_child(w, m),
            Action::ChildEnds(w, m) => state.child_ends(w, m),
            Action::Record(w, m) => state.record(self, w, m),
            Action::HandBack(w, m) => state.hand_back(w, m),
            Action::GiveUp(w, m) => state.give_up(w, m),
            Action::Release(w, m) => state.release(self, w, m),
            Action::BeatDatabase(w) => state.beat_database(self, w),
            Action::BeatQueue(w) => state.beat_queue(self, w),
            Action::Tick => state.tick(self),
            Action::Restart(w) => state.restart(w),
            Action::Wake(w) => state.workers[w].life = Life::Up,
            Action::HealDatabase(w) => state.workers[w].database = true,
            Action::HealQueue(w) => state.workers[w].queue = true,
            Action::Cancel(_) | Action::Close(_) | Action::Stop(_) => self.order(state, action),
            fault => self.fail(state, fault),
        }
    }

    fn read_note(&self, state: &mut State, m: usize) {
        state.outbox[m] = false;
        let row = state.rows[m];
        let leased = state.leases[m].is_some();
        state.relay =
            Some(Note { migration: u8::try_from(m).unwrap(), status: row.status, epoch: row.epoch, leased });
    }

    fn order(&self, state: &mut State, order: Action) {
        state.orders -= 1;
        match order {
            Action::Cancel(m) => state.cancel(self, m),
            Action::Close(m) => state.close(m),
            Action::Stop(w) => state.stop(w),
            other => unreachable!("{other:?} is no order"),
        }
    }

    fn fail(&self, state: &mut State, fault: Action) {
        state.faults -= 1;
        match fault {
            Action::Crash(w) => state.crash(self, w),
            Action::Freeze(w) => state.workers[w].life = Life::Frozen,
            Action::CutDatabase(w) => state.workers[w].database = false,
            Action::CutQueue(w) => state.workers[w].queue = false,
            Action::LoseQueue => state.lose_queue(),
            Action::ClaimUnanswered(w, m) => state.decide(self, w, m, false),
            Action::RecordUnanswered(w, m) => {
                let epoch = state.task(w, m).epoch;
                state.finish(self, m, epoch);
            }
            Action::Twin(w) => state.hand_back_all(w),
            other => unreachable!("{other:?} is no fault"),
        }
    }
}
