//! Everything that can happen, when it can, and what it does.

use super::{
    scene::{Clause, SILENCE, Scene},
    state::{Life, Slot, Stage, State, Status, WORKERS, Worker},
};

/// A step. Numbers are those of a worker, a migration, or both in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Submit(usize),
    /// Orders.
    Cancel(usize),
    Close(usize),
    Stop(usize),
    /// Schedulers.
    Relay(usize),
    RelayPushes,
    RelayFails,
    Rebuild,
    Reconcile,
    Reap(usize),
    /// The visibility time of a proposal is over.
    Expire(usize),
    /// Workers.
    Propose(usize, usize),
    Claim(usize, usize),
    /// A proposal that can't be claimed is left to its visibility time.
    Forget(usize, usize),
    TellQueue(usize, usize),
    StartChild(usize, usize),
    ChildEnds(usize, usize),
    Record(usize, usize),
    HandBack(usize, usize),
    GiveUp(usize, usize),
    Release(usize, usize),
    Tick,
    Restart(usize),
    Wake(usize),
    HealDatabase(usize),
    HealQueue(usize),
    /// Faults.
    Crash(usize),
    Freeze(usize),
    CutDatabase(usize),
    CutQueue(usize),
    LoseQueue,
    ClaimUnanswered(usize, usize),
    RecordUnanswered(usize, usize),
    /// The relay has read a row and is slow to push it.
    RelayStalls(usize),
    /// A second process takes the name of a live worker.
    Twin(usize),
}

impl Scene {
    /// All steps that are possible.
    ///
    /// A worker that runs does what it has to do at once: between two of its steps there is time for a
    /// fault, and one that freezes it gives everybody else all the time there is.
    pub fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            self.at_once(state, worker, actions);
        }
        if actions.is_empty() {
            self.orders(state, actions);
            self.schedulers(state, actions);
            for worker in 0..WORKERS {
                self.in_time(state, worker, actions);
            }
        }
        if state.faults > 0 {
            self.faults(state, actions);
        }
    }

    /// What a running worker does without waiting for anything.
    fn at_once(&self, state: &State, w: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[w];
        if worker.life != Life::Up {
            return;
        }
        for m in self.ids() {
            if worker.proposals[m] && worker.tasks[m].stage == Stage::None {
                actions.push(if worker.database { Action::Claim(w, m) } else { Action::Forget(w, m) });
            }
            let task = worker.tasks[m];
            match task.stage {
                Stage::Claimed | Stage::Running if task.left == 0 => actions.push(Action::GiveUp(w, m)),
                Stage::Claimed => {
                    actions.push(Action::StartChild(w, m));
                    if worker.queue && state.slots[m] != Slot::Running(task.epoch) {
                        actions.push(Action::TellQueue(w, m));
                    }
                }
                Stage::None | Stage::Running => {}
                // A result is offered whether the lease is alive or not: MariaDB decides.
                Stage::Done if worker.database => actions.push(Action::Record(w, m)),
                Stage::GoingBack if worker.database => actions.push(Action::HandBack(w, m)),
                // It is kept while Redis confirms the lease.
                Stage::Done if task.left > 0 => {}
                Stage::Done | Stage::GoingBack => actions.push(Action::GiveUp(w, m)),
                Stage::Recorded => actions.push(Action::Release(w, m)),
            }
        }
    }

    fn orders(&self, state: &State, actions: &mut Vec<Action>) {
        for m in self.ids() {
            if state.may_submit(self, m) {
                actions.push(Action::Submit(m));
            }
            if state.orders > 0 && matches!(state.rows[m].status, Status::Scheduled | Status::Sync) {
                actions.extend([Action::Cancel(m), Action::Close(m)]);
            }
        }
        for (w, worker) in state.workers.iter().enumerate() {
            if state.orders > 0 && worker.life == Life::Up && worker.tasks.iter().any(|task| task.is_live()) {
                actions.push(Action::Stop(w));
            }
        }
    }

    fn schedulers(&self, state: &State, actions: &mut Vec<Action>) {
        if state.built {
            actions.push(Action::Reconcile);
            actions.extend(self.ids().filter(|m| state.outbox[*m]).map(Action::Relay));
        } else {
            actions.push(Action::Rebuild);
        }
        if state.relay.is_some() {
            actions.push(if state.built { Action::RelayPushes } else { Action::RelayFails });
        }
        for m in self.ids() {
            if state.leases[m].is_some_and(|lease| lease.silent >= SILENCE) {
                actions.push(Action::Reap(m));
            }
            if state.built && state.slots[m] == Slot::Proposal {
                actions.push(Action::Expire(m));
            }
        }
        // Outbox entries are relayed sooner than a heartbeat's time goes by.
        let late = state.built && self.ids().any(|m| state.outbox[m]);
        let waits = self.ids().any(|m| state.leases[m].is_some())
            || state.workers.iter().any(|worker| worker.tasks.iter().any(|task| task.is_live()));
        if waits && !late {
            actions.push(Action::Tick);
        }
    }

    /// What a worker does sooner or later.
    fn in_time(&self, state: &State, w: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[w];
        actions.extend(self.ids().filter(|m| worker.children[*m]).map(|m| Action::ChildEnds(w, m)));
        if !worker.database {
            actions.push(Action::HealDatabase(w));
        }
        if !worker.queue {
            actions.push(Action::HealQueue(w));
        }
        match worker.life {
            Life::Up if worker.queue && worker.database => {
                actions.extend(
                    self.ids().filter(|m| state.may_propose(self, *m)).map(|m| Action::Propose(w, m)),
                );
            }
            Life::Frozen => actions.push(Action::Wake(w)),
            Life::Dead if worker.database => actions.push(Action::Restart(w)),
            Life::Up | Life::Dead => {}
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        if state.built {
            actions.push(Action::LoseQueue);
        }
        if state.built && state.relay.is_none() {
            actions.extend(self.ids().filter(|m| state.outbox[*m]).map(Action::RelayStalls));
        }
        // A fault of a worker with empty hands does nothing that not being asked does not do.
        let busy = |w: &usize| state.workers[*w].life != Life::Dead && !state.is_idle(*w);
        for w in (0..WORKERS).filter(busy) {
            let worker = &state.workers[w];
            actions.push(Action::Crash(w));
            if worker.life == Life::Up {
                actions.push(Action::Freeze(w));
                self.unanswered(worker, w, actions);
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
    }

    fn unanswered(&self, worker: &Worker, w: usize, actions: &mut Vec<Action>) {
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
        state.normalise();
        state
    }

    fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Submit(m) => state.submit(m),
            Action::Reconcile => state.reconcile(self),
            Action::Rebuild => state.rebuild(self),
            Action::Reap(m) => state.reap(m),
            Action::Expire(m) => state.expire(self, m),
            Action::Relay(m) => {
                let note = state.read_note(m);
                state.push(self, note);
            }
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
            Action::TellQueue(w, m) => state.tell_queue(self, w, m),
            Action::Tick => state.tick(self),
            Action::Restart(w) => state.restart(w),
            Action::Wake(w) => state.workers[w].life = Life::Up,
            Action::HealDatabase(w) => state.workers[w].database = true,
            Action::HealQueue(w) => state.workers[w].queue = true,
            Action::Cancel(_) | Action::Close(_) | Action::Stop(_) => self.order(state, action),
            fault => self.fail(state, fault),
        }
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
            Action::RelayStalls(m) => state.relay = Some(state.read_note(m)),
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
