//! I5: from every state, with no more faults, everything comes to its end.
//!
//! stateright's `eventually` does not see a cycle, so it is not used. Instead it is shown that from every
//! reachable state one schedule of the model's own steps, without a fault or an order, leads to
//! quiescence. The state space is finite, so under strong fairness every run without faults gets there.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{
    action::Action,
    scene::{SILENCE, Scene},
    state::{Life, Slot, Stage, State, Status, WORKERS},
};

/// As stateright does it: 64 bits stand for a state.
fn fingerprint(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Scene {
    /// Whether everything comes to an end from here. Each state is walked from once.
    pub fn settles(&self, state: &State) -> bool {
        let mut known = self.settling.lock().unwrap();
        let mut walked = Vec::new();
        let mut here = *state;
        loop {
            let print = fingerprint(&here);
            if known.contains(&print) {
                break;
            }
            let Some(action) = self.next_fair(&here) else {
                if !self.is_quiet(&here) {
                    return false;
                }
                walked.push(print);
                break;
            };
            if walked.contains(&print) {
                // The schedule went round in a circle.
                return false;
            }
            walked.push(print);
            here = self.after(&here, action);
        }
        known.extend(walked);
        true
    }

    /// Every migration has ended, and neither store has anything left of it.
    fn is_quiet(&self, state: &State) -> bool {
        self.ids().all(|m| {
            state.rows[m].status == Status::Ended
                && state.leases[m].is_none()
                && state.slots[m] == Slot::Free
                && !state.ready[m]
                && !state.outbox[m]
        }) && state.relay.is_none()
    }

    /// The next step of the schedule.
    fn next_fair(&self, state: &State) -> Option<Action> {
        let mut worker_steps = (0..WORKERS).filter_map(|w| self.next_of_worker(state, w));
        worker_steps
            .next()
            .or_else(|| self.next_of_relay(state))
            .or_else(|| self.next_of_reaper(state))
            .or_else(|| self.next_proposal(state))
            .or_else(|| self.ids().find(|m| state.may_submit(self, *m)).map(Action::Submit))
    }

    fn next_of_worker(&self, state: &State, w: usize) -> Option<Action> {
        let worker = &state.workers[w];
        if !worker.database {
            return Some(Action::HealDatabase(w));
        }
        if !worker.queue {
            return Some(Action::HealQueue(w));
        }
        match worker.life {
            Life::Up => {}
            Life::Frozen => return Some(Action::Wake(w)),
            Life::Dead => return Some(Action::Restart(w)),
        }
        for m in self.ids() {
            let task = worker.tasks[m];
            let action = match task.stage {
                Stage::None if worker.children[m] => Action::ChildEnds(w, m),
                Stage::None => continue,
                Stage::Claimed | Stage::Running if task.left == 0 => Action::GiveUp(w, m),
                Stage::Claimed => Action::StartChild(w, m),
                Stage::Running => Action::ChildEnds(w, m),
                Stage::Done => Action::Record(w, m),
                Stage::GoingBack => Action::HandBack(w, m),
                Stage::Recorded => Action::Release(w, m),
            };
            return Some(action);
        }
        self.ids().find(|m| worker.proposals[*m]).map(|m| Action::Claim(w, m))
    }

    fn next_of_relay(&self, state: &State) -> Option<Action> {
        if !state.built {
            return Some(Action::Rebuild);
        }
        if state.relay.is_some() {
            return Some(Action::RelayPushes);
        }
        self.ids().find(|m| state.outbox[*m]).map(Action::Relay)
    }

    /// No worker holds a task any more, so every lease that is left is lost.
    fn next_of_reaper(&self, state: &State) -> Option<Action> {
        let lost = self.ids().find(|m| state.leases[*m].is_some())?;
        let ripe = |m: &usize| state.leases[*m].is_some_and(|lease| lease.silent >= SILENCE);
        match self.ids().find(ripe) {
            Some(m) => Some(Action::Reap(m)),
            None if self.ids().all(|m| state.leases[m].is_none_or(|lease| lease.silent < SILENCE)) => {
                Some(Action::Tick)
            }
            None => Some(Action::Reap(lost)),
        }
    }

    fn next_proposal(&self, state: &State) -> Option<Action> {
        if let Some(m) = self.ids().find(|m| state.slots[*m] == Slot::Proposal) {
            return Some(Action::Expire(m));
        }
        if self.after(state, Action::Reconcile) != *state {
            return Some(Action::Reconcile);
        }
        self.ids().find(|m| state.may_propose(self, *m)).map(|m| Action::Propose(0, m))
    }
}
