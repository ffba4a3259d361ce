//! The plain model: what waits, what is delayed, whose slots are taken, and which calls must be refused.
//!
//! It knows no rings. What a host may be proposed follows from its limit and its slots alone, and its
//! turn from who was asked since it has work; so the scripts' rings are checked, not copied.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dmf_shared::{
    domain::ids::{Epoch, HostId, JobId, TargetId},
    queue::{HeldSlot, Hold, Host, Job, JobState, Running, Settlement, Then, Ticket},
};

use super::call::{all_jobs, place};

/// Where a job stands in its queue; `None` where the answers so far don't tell.
type Place = Option<u64>;

/// A slot that is taken.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// 0 for a proposal.
    pub epoch: u64,
    pub priority: bool,
    pub place: Place,
    pub beat: u64,
    /// Of a proposal.
    pub ticket: u64,
    /// A proposal whose job was pushed as ready meanwhile.
    pub again: bool,
    /// A proposal whose visibility time is over.
    pub over: bool,
}

const NOT_HELD: Held =
    Held { epoch: 0, priority: false, place: None, beat: 0, ticket: 0, again: false, over: false };

impl Held {
    /// What the API calls it.
    fn hold(&self) -> Hold {
        if self.epoch == 0 { Hold::Proposal(Ticket(self.ticket)) } else { Hold::Lease(Epoch(self.epoch)) }
    }
}

/// An entry of a ready queue.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub place: Place,
    /// Whether it must be there. A held job in a queue is thrown away by a look that comes to it, and
    /// an answer that reached its number does not show how far the look came.
    pub sure: bool,
}

/// Whether the queues may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Lost,
    /// By the rebuild of this number.
    Building(usize),
    Built,
}

#[derive(Debug)]
pub struct Model {
    pub life: Life,
    /// Limit and reserved for priority.
    pub hosts: BTreeMap<HostId, (u32, u32)>,
    pub ready: BTreeMap<(JobId, bool), Ready>,
    /// Whether the delay is over.
    pub delayed: BTreeMap<(JobId, bool), bool>,
    pub held: BTreeMap<JobId, Held>,
    /// Hosts of which nothing is proposed until something of them changes.
    pub blocked: BTreeSet<HostId>,
    /// Of each queue that could have been asked: the hosts that were, since it was last.
    pub passed_by: BTreeMap<(TargetId, bool, HostId), BTreeSet<HostId>>,
    /// Tickets of proposals: the newest of each job, and the one before.
    tickets: BTreeMap<JobId, (u64, u64)>,
    last_place: u64,
}

impl Model {
    /// A queue of which nothing is known.
    pub fn lost() -> Self {
        Self {
            life: Life::Lost,
            hosts: BTreeMap::new(),
            ready: BTreeMap::new(),
            delayed: BTreeMap::new(),
            held: BTreeMap::new(),
            blocked: BTreeSet::new(),
            passed_by: BTreeMap::new(),
            tickets: BTreeMap::new(),
            last_place: 0,
        }
    }

    pub fn held_jobs(&self) -> Vec<JobId> {
        self.held.keys().copied().collect()
    }

    /// The epoch of the holder; 0 of a proposal or of none.
    pub fn epoch_of(&self, job: JobId) -> u64 {
        self.held.get(&job).map_or(0, |held| held.epoch)
    }

    /// The newest ticket of a job; 0 when it was never proposed.
    pub fn ticket_of(&self, job: JobId) -> u64 {
        self.tickets.get(&job).map_or(0, |tickets| tickets.0)
    }

    /// An older ticket of a job.
    pub fn old_ticket(&self, job: JobId) -> u64 {
        self.tickets.get(&job).map_or(0, |tickets| tickets.1)
    }

    /// A proposal of this job; says whether its ticket is new.
    pub fn hand_out(&mut self, job: JobId, ticket: u64) -> bool {
        let before = self.ticket_of(job);
        self.tickets.insert(job, (ticket, before));
        ticket > before
    }

    /// What the API shows of slots.
    pub fn slots(&self) -> BTreeMap<JobId, HeldSlot> {
        let slot = |(job, held): (&JobId, &Held)| {
            let (host, target) = place(*job);
            (*job, HeldSlot { hold: held.hold(), host, target, beat: held.beat })
        };
        self.held.iter().map(slot).collect()
    }

    /// Whether there is a timer: a delayed job of this target or any proposal.
    pub fn has_timer(&self, target: TargetId) -> bool {
        self.delayed.keys().any(|(job, _)| place(*job).1 == target)
            || self.held.values().any(|held| held.epoch == 0)
    }

    pub fn next_place(&mut self) -> u64 {
        self.last_place += 1;
        self.last_place
    }

    /// Free slots of a host for this kind of job; below zero where running jobs took it over its limit.
    pub fn room(&self, host: HostId, priority: bool) -> i64 {
        let (limit, reserved) = self.hosts.get(&host).copied().unwrap_or_default();
        let taken = self.held.keys().filter(|job| place(**job).0 == host).count();
        let kept = if priority { 0 } else { reserved };
        i64::from(limit) - i64::try_from(taken).unwrap() - i64::from(kept)
    }

    /// Whether the queue of this host must give a job now.
    pub fn gives(&self, target: TargetId, priority: bool, host: HostId) -> bool {
        self.may_give(host, priority)
            && self.ready.iter().any(|((job, p), ready)| {
                place(*job) == (host, target) && *p == priority && ready.sure && !self.held.contains_key(job)
            })
    }

    pub fn may_give(&self, host: HostId, priority: bool) -> bool {
        !self.blocked.contains(&host) && self.room(host, priority) > 0
    }

    /// Forgets who passed by the queues of this host that could not have been asked just now.
    pub fn forget_turns(&mut self, host: HostId) {
        let queues: Vec<_> = self.passed_by.keys().filter(|queue| queue.2 == host).copied().collect();
        for (target, priority, host) in queues {
            if !self.gives(target, priority, host) {
                self.passed_by.remove(&(target, priority, host));
            }
        }
    }

    /// Something of the host has changed: it may be asked again.
    pub fn changed(&mut self, host: HostId) {
        self.blocked.remove(&host);
        self.forget_turns(host);
    }

    /// Makes a job ready; one that is ready already keeps its place. Says whether it was ready before,
    /// where that is known.
    pub fn enqueue(&mut self, job: JobId, priority: bool, place: Place) -> Option<bool> {
        match self.ready.get_mut(&(job, priority)) {
            Some(ready) if ready.sure => Some(true),
            Some(ready) => {
                *ready = Ready { place: None, sure: true };
                None
            }
            None => {
                self.ready.insert((job, priority), Ready { place, sure: true });
                Some(false)
            }
        }
    }

    /// Says whether it was ready, where that is known.
    pub fn dequeue(&mut self, job: JobId, priority: bool) -> Option<bool> {
        let known = match self.ready.remove(&(job, priority)) {
            Some(ready) if ready.sure => Some(true),
            Some(_) => None,
            None => Some(false),
        };
        self.forget_turns(place(job).0);
        known
    }

    fn undelay(&mut self, job: JobId) -> bool {
        let normal = self.delayed.remove(&(job, false)).is_some();
        self.delayed.remove(&(job, true)).is_some() || normal
    }

    /// A host is gone, with what waits for it.
    pub fn forget_host(&mut self, host: HostId) {
        self.hosts.remove(&host);
        self.ready.retain(|(job, _), _| place(*job).0 != host);
        self.changed(host);
    }

    /// The limits of hosts.
    pub fn set_hosts(&mut self, hosts: &[Host]) {
        for host in hosts {
            self.hosts.insert(host.host, (host.limit, host.reserved_for_priority));
            self.changed(host.host);
        }
    }

    /// A push; gives the least and the most jobs that it may say were forgotten.
    pub fn push(&mut self, jobs: &[Job]) -> (u64, u64) {
        let (mut least, mut most) = (0, 0);
        let mut touched = BTreeSet::new();
        for job in jobs {
            let place = self.next_place();
            let held = self.held.get(&job.job).copied();
            match job.state {
                JobState::Ended => {
                    self.dequeue(job.job, false);
                    self.dequeue(job.job, true);
                    self.undelay(job.job);
                    // The claim refuses a proposal of it; a running one keeps its slot until its lease is gone.
                    if held.is_some_and(|held| held.epoch > 0 && held.epoch <= job.epoch.0) {
                        self.held.remove(&job.job);
                        touched.insert(job.host);
                    }
                }
                JobState::Running => {
                    if held.is_none() {
                        self.dequeue(job.job, false);
                        self.dequeue(job.job, true);
                        self.undelay(job.job);
                        let (epoch, priority) = (job.epoch.0, job.priority);
                        let held = Held { epoch, priority, place: Some(0), ..NOT_HELD };
                        self.held.insert(job.job, held);
                        touched.insert(job.host);
                    }
                }
                JobState::Ready { after } => {
                    if let Some(proposal) = self.held.get_mut(&job.job).filter(|held| held.epoch == 0) {
                        (proposal.again, proposal.priority) = (true, job.priority);
                        continue;
                    }
                    if held.is_some_and(|held| held.epoch >= job.epoch.0) {
                        continue;
                    }
                    if self.held.remove(&job.job).is_some() {
                        touched.insert(job.host);
                    }
                    let known = self.push_ready(job, after, place);
                    least += u64::from(known == Some(Known::Forgotten));
                    most += u64::from(known != Some(Known::Kept));
                    if after.is_zero() {
                        touched.insert(job.host);
                    }
                }
            }
        }
        for host in touched {
            self.changed(host);
        }
        (least, most)
    }

    /// Says how it was known before, where the answers so far tell.
    fn push_ready(&mut self, job: &Job, after: Duration, place: u64) -> Option<Known> {
        let other = self.dequeue(job.job, !job.priority);
        let delayed = self.undelay(job.job);
        let same = if after.is_zero() {
            self.enqueue(job.job, job.priority, Some(place))
        } else {
            let same = self.dequeue(job.job, job.priority);
            self.delayed.insert((job.job, job.priority), false);
            // Kept or not, it does not stand where it stood.
            if same == Some(true) {
                return Some(Known::Moved);
            }
            same
        };
        match (same, other) {
            (Some(true), _) => Some(Known::Kept),
            (None, _) | (_, None) => None,
            (Some(false), Some(true)) => Some(Known::Moved),
            (Some(false), Some(false)) if delayed => Some(Known::Moved),
            (Some(false), Some(false)) => Some(Known::Forgotten),
        }
    }

    /// Ends proposals and running jobs; gives how many slots that frees.
    pub fn settle(&mut self, settlements: &[Settlement]) -> u64 {
        let mut freed = 0;
        for settlement in settlements {
            let (job, host) = (settlement.job, place(settlement.job).0);
            // A proposal is ended by its proposer alone, a running job by its holder or a newer one.
            let ends = |held: &Held| match settlement.hold {
                Hold::Proposal(ticket) => held.epoch == 0 && held.ticket == ticket.0,
                Hold::Lease(epoch) => held.epoch > 0 && held.epoch <= epoch.0,
            };
            let Some(held) = self.held.get(&job).copied().filter(ends) else { continue };
            self.held.remove(&job);
            freed += 1;
            let known = self.hosts.contains_key(&host);
            let then =
                if held.again && settlement.then == Then::Drop { Then::Ready } else { settlement.then };
            match then {
                Then::Drop => {}
                // Nothing waits for a host that is gone.
                _ if !known => {}
                Then::Ready | Then::Blocked => {
                    self.enqueue(job, held.priority, held.place);
                }
                Then::Delay(wait) => {
                    self.delayed.insert((job, held.priority), wait.is_zero());
                }
            }
            self.changed(host);
            if settlement.then == Then::Blocked {
                self.blocked.insert(host);
                self.forget_turns(host);
            }
        }
        freed
    }

    /// A heartbeat; gives what it must answer for each job.
    pub fn heartbeat(&mut self, running: &[Running]) -> Vec<bool> {
        let beat = |job: &Running| {
            let held = self.held.get(&job.job).copied();
            if held.is_some_and(|held| held.epoch > job.epoch.0) {
                return false;
            }
            if held.is_none_or(|held| held.epoch != job.epoch.0) {
                self.dequeue(job.job, false);
                self.dequeue(job.job, true);
                self.undelay(job.job);
                let place = held.map_or(Some(0), |held| held.place);
                let beat = held.map_or(0, |held| held.beat);
                let held = Held { epoch: job.epoch.0, priority: job.priority, place, beat, ..NOT_HELD };
                match self.held.insert(job.job, held) {
                    // It had its slot before, so nothing of the host has changed.
                    Some(_) => self.forget_turns(job.host),
                    None => self.changed(job.host),
                }
            }
            if let Some(held) = self.held.get_mut(&job.job) {
                (held.beat, held.priority) = (held.beat + 1, job.priority);
            }
            true
        };
        running.iter().map(beat).collect()
    }

    /// Ends what holds this job's slot.
    pub fn release(&self, job: JobId, then: Then) -> Settlement {
        let hold = self.held.get(&job).map_or(Hold::Lease(Epoch(0)), Held::hold);
        Settlement { job, hold, then }
    }

    /// What still waits, for messages.
    pub fn waiting(&self) -> Vec<JobId> {
        all_jobs().filter(|job| [false, true].iter().any(|p| self.ready.contains_key(&(*job, *p)))).collect()
    }
}

/// How a pushed job was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Forgotten,
    /// It stands in another queue now.
    Moved,
    Kept,
}
