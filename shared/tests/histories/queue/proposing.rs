//! What a look at the queue may, and must, answer.

use dmf_shared::{
    domain::ids::{HostId, JobId, TargetId},
    queue::{Free, Proposal},
};

use super::{
    call::place,
    model::{Held, Model, Ready},
};
use crate::{check, histories::campaign::Checked};

/// A target, and whether priority jobs are meant.
type Kind = (TargetId, bool);

impl Model {
    /// Checks the answer to a look and follows it.
    pub fn propose(&mut self, target: TargetId, free: Free, visible: bool, answer: &[Proposal]) -> Checked {
        self.let_time_pass(target);
        let split = answer.iter().position(|proposal| !proposal.priority).unwrap_or(answer.len());
        let (priority, normal) = answer.split_at(split);
        check!(answer.len() <= free.total as usize, "{} proposals for {free:?}", answer.len());
        check!(normal.len() <= free.normal as usize, "{} normal proposals for {free:?}", normal.len());
        check!(
            normal.iter().all(|proposal| !proposal.priority),
            "a priority job came after others: {answer:?}"
        );
        self.propose_kind((target, true), visible, priority, free.total as usize)?;
        let most = (free.total as usize - priority.len()).min(free.normal as usize);
        self.propose_kind((target, false), visible, normal, most)
    }

    /// Delays and visibility times that are over.
    pub fn let_time_pass(&mut self, target: TargetId) {
        let over = |(key, over): (&(JobId, bool), &bool)| (*over && place(key.0).1 == target).then_some(*key);
        let due: Vec<_> = self.delayed.iter().filter_map(over).collect();
        // Which of them came first is not told: they share a place.
        let new_place = self.next_place();
        for (job, priority) in due {
            self.delayed.remove(&(job, priority));
            if self.hosts.contains_key(&place(job).0) {
                self.enqueue(job, priority, Some(new_place));
                self.changed(place(job).0);
            }
        }
        let expired: Vec<_> =
            self.held.iter().filter(|(_, held)| held.over).map(|(job, held)| (*job, *held)).collect();
        for (job, held) in expired {
            self.held.remove(&job);
            if self.hosts.contains_key(&place(job).0) {
                self.enqueue(job, held.priority, held.place);
            }
            self.changed(place(job).0);
        }
    }

    /// The part of an answer that is of one kind, of which at most `most` were wanted.
    fn propose_kind(&mut self, kind: Kind, visible: bool, answer: &[Proposal], most: usize) -> Checked {
        for proposal in answer {
            self.take(kind.0, visible, *proposal)?;
        }
        if answer.len() < most {
            return self.check_drained(kind);
        }
        if most > 0 {
            self.doubt_held(kind);
        }
        Ok(())
    }

    fn take(&mut self, target: TargetId, visible: bool, proposal: Proposal) -> Checked {
        let Proposal { job, host, priority, ticket } = proposal;
        check!(place(job) == (host, target), "{job} was proposed for {host} of target {target}");
        check!(!self.held.contains_key(&job), "{job} was proposed while its slot is taken");
        let Some(ready) = self.ready.get(&(job, priority)).copied() else {
            return Err(format!("{job} was proposed and does not wait"));
        };
        check!(!self.blocked.contains(&host), "{job} was proposed while host {host} is blocked");
        check!(self.room(host, priority) > 0, "{job} was proposed and host {host} has no room");
        check!(self.hand_out(job, ticket.0), "{job} was proposed with {ticket:?} again");
        self.take_turn(target, priority, host)?;
        self.drop_ahead(job, priority, ready)?;
        self.ready.remove(&(job, priority));
        let held = Held {
            epoch: 0,
            priority,
            place: ready.place,
            beat: 0,
            ticket: ticket.0,
            again: false,
            over: !visible,
        };
        self.held.insert(job, held);
        self.changed(host);
        Ok(())
    }

    /// No host is asked twice while another one waits for its turn.
    fn take_turn(&mut self, target: TargetId, priority: bool, host: HostId) -> Checked {
        let hosts: Vec<_> = self.hosts.keys().copied().filter(|other| *other != host).collect();
        for other in hosts {
            if self.gives(target, priority, other) {
                let first = self.passed_by.entry((target, priority, other)).or_default().insert(host);
                check!(first, "host {host} was asked twice while host {other} waited for its turn");
            }
        }
        self.passed_by.remove(&(target, priority, host));
        Ok(())
    }

    /// First in, first out; held jobs that stood before it are thrown away.
    fn drop_ahead(&mut self, job: JobId, priority: bool, ready: Ready) -> Checked {
        let queue: Vec<_> = self
            .ready
            .iter()
            .filter(|((other, p), _)| *other != job && *p == priority && place(*other) == place(job))
            .map(|((other, _), ready)| (*other, *ready))
            .collect();
        for (other, known) in queue {
            let held = self.held.contains_key(&other);
            match (known.place, ready.place) {
                (Some(other_place), Some(place)) if other_place < place => {
                    check!(held || !known.sure, "{job} was proposed before {other}, which waits longer");
                    self.ready.remove(&(other, priority));
                }
                (Some(other_place), Some(place)) if other_place > place => {}
                _ if held => self.doubt(other, priority),
                _ => {}
            }
        }
        Ok(())
    }

    fn doubt(&mut self, job: JobId, priority: bool) {
        if let Some(ready) = self.ready.get_mut(&(job, priority)) {
            ready.sure = false;
        }
    }

    /// The look went on until nothing was left.
    fn check_drained(&mut self, (target, priority): Kind) -> Checked {
        let queue: Vec<_> = self
            .ready
            .iter()
            .filter(|((job, p), _)| *p == priority && place(*job).1 == target)
            .map(|((job, _), ready)| (*job, *ready))
            .collect();
        for (job, ready) in queue {
            if self.may_give(place(job).0, priority) {
                let held = self.held.contains_key(&job);
                check!(
                    held || !ready.sure,
                    "{job} waits, host {} has room, and it was not proposed",
                    place(job).0
                );
                self.ready.remove(&(job, priority));
            }
        }
        Ok(())
    }

    /// The look stopped at its number: held jobs may have been thrown away or not.
    fn doubt_held(&mut self, (target, priority): Kind) {
        let held: Vec<_> = self.held.keys().copied().filter(|job| place(*job).1 == target).collect();
        for job in held {
            self.doubt(job, priority);
        }
    }
}
