//! Histories of the store.

mod call;
mod change;
mod compare;
mod model;

use std::{collections::BTreeMap, time::Duration};

use dmf_lab::Lab;
use dmf_shared::{
    domain::{
        ids::{HostId, JournalId, UserId},
        migration::Status,
    },
    store::{
        ClaimRequest, Counts, Decision, Ended, Error, Finish, Finished, HandBack, Holder, Hook, LeaseBeat,
        Prioritized, Refusal, SubmitError,
    },
};
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};

use self::{
    call::{Age, Call, HOSTS, User, WORKERS, Which},
    compare::Seen,
    model::{Host, MAX_LOSSES, Model},
};
use super::campaign::{self, Checked};
use crate::{
    check,
    support::{self, Scene},
};

/// `not_before` of what must not start within a history.
const FAR: OffsetDateTime = datetime!(2100-01-01 0:00 UTC);
const HOUR_MS: u64 = 3_600_000;

/// The store, the model of it, and what was seen so far.
struct World<'s> {
    scene: &'s Scene,
    /// Users and hosts of one history have names of their own.
    number: u64,
    holders: [Holder; WORKERS],
    /// Those who have submitted.
    users: BTreeMap<usize, UserId>,
    model: Model,
    seen: Seen,
}

/// No call of a history may fail.
fn answered<T>(answer: Result<T, Error>) -> Checked<T> {
    answer.map_err(|error| format!("{error:?}"))
}

fn same<T: PartialEq + std::fmt::Debug>(got: &T, expected: &T) -> Checked {
    check!(got == expected, "answered {got:?}, not {expected:?}");
    Ok(())
}

impl World<'_> {
    fn uid(&self, user: usize) -> String {
        format!("history{}-user{user}", self.number)
    }

    async fn step(&mut self, call: &Call) -> Checked {
        self.act(call).await?;
        self.compare().await
    }

    async fn act(&mut self, call: &Call) -> Checked {
        match call {
            Call::Submit { user, priority, later } => {
                self.submit(self.model.user(*user), *priority, *later).await
            }
            Call::Claim { worker, wanted } => self.claim(*worker, wanted).await,
            Call::Heartbeat { worker, leases } => self.heartbeat(*worker, leases).await,
            Call::Reap { which, age, beat_missed } => self.reap(*which, *age, *beat_missed).await,
            Call::Relay { dies } => self.relay(*dies).await,
            Call::Restart(worker) => {
                self.holders[*worker] =
                    support::register(&self.scene.store, &format!("worker-{worker}")).await;
                self.model.lives[*worker] += 1;
                Ok(())
            }
            Call::SubmitBatch { users, dry_run } => self.submit_batch(users, *dry_run).await,
            Call::NotePreCommand(which, age) => self.note_pre_command(*which, *age).await,
            Call::NoteAttempt(which, age, attempt) => self.note_attempt(*which, *age, *attempt).await,
            Call::NoteEnd(which, age, end) => self.note_end(*which, *age, *end).await,
            Call::Finish(which, age, end) => self.finish(*which, *age, *end).await,
            Call::HandBack { which, age, later, attempt } => {
                self.hand_back(*which, *age, *later, *attempt).await
            }
            order => self.order(order).await,
        }
    }

    async fn submit(&mut self, user: usize, priority: bool, later: bool) -> Checked {
        let mut submission = self.scene.submission(&self.uid(user));
        submission.user.sourcehost = Some(self.model.hosts[user % HOSTS].id);
        (submission.priority, submission.not_before) = (priority, later.then_some(FAR));
        match (self.scene.store.submit(&self.scene.source, &submission).await, self.model.open(user)) {
            (Ok(submitted), None) => {
                self.users.insert(user, submitted.record.user);
                self.model.submit(submitted.record.id, user, priority, later);
            }
            (Err(SubmitError::Open(id)), Some(open)) if id == open => {}
            (answer, open) => return Err(format!("a submit said {answer:?}, and {open:?} is open")),
        }
        Ok(())
    }

    async fn claim(&mut self, worker: usize, wanted: &[(Which, bool)]) -> Checked {
        // The queue proposes a job once in an answer.
        let mut named: Vec<(JournalId, HostId)> = Vec::new();
        for (which, elsewhere) in wanted {
            let Some(id) = self.model.find(*which) else { continue };
            if named.iter().all(|(other, _)| *other != id) {
                let user = self.model.rows[&id].user + usize::from(*elsewhere);
                named.push((id, self.model.hosts[user % HOSTS].id));
            }
        }
        let requests: Vec<_> =
            named.iter().map(|(id, host)| ClaimRequest { job: self.model.job(*id), host: *host }).collect();
        if requests.is_empty() {
            return Ok(());
        }
        let decisions = answered(self.scene.store.claim(&self.holders[worker], &requests).await)?;
        check!(decisions.len() == requests.len(), "{decisions:?} for {requests:?}");
        let expected = self.model.claim(worker, &named);
        for ((id, _), expected) in named.iter().zip(expected) {
            let job = self.model.job(*id);
            let decision = decisions.iter().find(|decision| match decision {
                Decision::Granted(claimed) => claimed.job == job,
                Decision::Refused(refused, _) => *refused == job,
            });
            self.judge(*id, decision, expected)?;
        }
        Ok(())
    }

    fn judge(&self, id: JournalId, decision: Option<&Decision>, expected: Option<Refusal>) -> Checked {
        let row = &self.model.rows[&id];
        let right = match (decision, expected) {
            (Some(Decision::Granted(claimed)), None) => {
                check!(
                    self.model.in_use(row.host) <= self.limit(row.host),
                    "{id} was granted beyond the limit of host {}",
                    row.host
                );
                claimed.epoch.0 == row.epoch
                    && claimed.user.source_uid == self.uid(row.user)
                    && (claimed.priority, claimed.pre_started) == (row.priority, row.pre_started)
                    && (claimed.attempt, claimed.losses) == (row.attempt, row.losses)
                    && (claimed.cleanup, claimed.blocks.len()) == (row.cleanup, row.blocks)
            }
            (Some(Decision::Refused(_, Refusal::TooEarly { wait_ms })), Some(Refusal::TooEarly { .. })) => {
                *wait_ms > 0 && (*wait_ms > HOUR_MS / 2) == row.later
            }
            (Some(Decision::Refused(_, refusal)), Some(expected)) => *refusal == expected,
            _ => false,
        };
        check!(right, "the claim of {id} was answered {decision:?}, not {expected:?} of {row:?}");
        Ok(())
    }

    fn limit(&self, host: HostId) -> usize {
        self.model.hosts.iter().find(|known| known.id == host).map_or(0, |host| host.limit as usize)
    }

    async fn heartbeat(&mut self, worker: usize, leases: &[(Which, Age)]) -> Checked {
        let named: Vec<_> = leases
            .iter()
            .filter_map(|(which, age)| self.model.find(*which).map(|id| (id, self.model.epoch(id, *age))))
            .collect();
        let sent: Vec<_> = named.iter().map(|(id, epoch)| (self.model.job(*id), *epoch)).collect();
        let held = answered(self.scene.store.heartbeat_leases(&self.holders[worker], &sent).await)?;
        let expected = self.model.heartbeat(worker, &named);
        let ours = held.iter().filter(|lease| self.model.rows.contains_key(&lease.job.journal));
        let mut got: Vec<_> = ours.map(|lease| (lease.job.journal, lease.epoch.0, lease.wanted)).collect();
        got.sort_by_key(|lease| lease.0);
        let expected: Vec<_> = expected.iter().map(|(id, lease)| (*id, lease.epoch, lease.wanted)).collect();
        same(&got, &expected)
    }

    async fn note_pre_command(&mut self, which: Which, age: Age) -> Checked {
        let Some(id) = self.model.find(which) else { return Ok(()) };
        let epoch = self.model.epoch(id, age);
        let (store, source) = (&self.scene.store, &self.scene.source);
        let noted = answered(store.note_hook(source, self.model.job(id), epoch, Hook::Pre).await)?;
        same(&noted, &self.model.note_pre_command(id, epoch))
    }

    async fn finish(&mut self, which: Which, age: Age, end: Status) -> Checked {
        let Some(id) = self.model.find(which) else { return Ok(()) };
        let epoch = self.model.epoch(id, age);
        let finish = Finish {
            status: end,
            details: json!([]),
            counts: Counts::default(),
            verification: None,
            attempt: 9,
        };
        let (store, source) = (&self.scene.store, &self.scene.source);
        // As the worker does whose migration does not end alone.
        let job = self.model.job(id);
        let ended = Ended { source: source.clone(), job, epoch, finish: finish.clone() };
        let together = id.0.is_multiple_of(2) && answered(store.finish_batch(&[ended]).await)? == [true];
        let finished = if together {
            Finished::Recorded
        } else {
            answered(store.finish(source, job, epoch, &finish).await)?
        };
        same(&finished, &self.model.finish(id, epoch, end, finish.attempt))
    }

    async fn hand_back(&mut self, which: Which, age: Age, later: bool, attempt: Option<u32>) -> Checked {
        let Some(id) = self.model.find(which) else { return Ok(()) };
        let epoch = self.model.epoch(id, age);
        let back = HandBack { delay_ms: later.then_some(HOUR_MS), attempt, ..HandBack::default() };
        let (store, source) = (&self.scene.store, &self.scene.source);
        let handed = answered(store.hand_back(source, self.model.job(id), epoch, &back).await)?;
        same(&handed, &self.model.hand_back(id, epoch, later, attempt))
    }

    async fn reap(&mut self, which: Which, age: Age, beat_missed: bool) -> Checked {
        let Some(id) = self.model.find(which) else { return Ok(()) };
        let epoch = self.model.epoch(id, age);
        let beat = self.model.leases.get(&id).map_or(0, |lease| lease.beat + u64::from(beat_missed));
        let backend = self.holders[0].backend;
        let lease = LeaseBeat { job: self.model.job(id), epoch, beat, backend, deadline: Duration::ZERO };
        let reaped = answered(self.scene.store.reap(&self.scene.source, &lease, MAX_LOSSES).await)?;
        same(&reaped, &self.model.reap(id, epoch, beat))
    }

    async fn order(&mut self, order: &Call) -> Checked {
        let (store, source) = (&self.scene.store, &self.scene.source);
        match *order {
            Call::Cancel(user) => {
                let user = self.model.user(user);
                let Some(id) = self.users.get(&user) else { return Ok(()) };
                same(&answered(store.cancel_latest(source, *id).await)?, &self.model.cancel(user))
            }
            Call::Close(user, end) => {
                let user = self.model.user(user);
                let Some(id) = self.users.get(&user) else { return Ok(()) };
                same(&answered(store.close_latest(source, *id, end).await)?, &self.model.close(user, end))
            }
            Call::Prioritize(user, priority) => self.prioritize(self.model.user(user), priority).await,
            Call::PauseSource(paused) => {
                self.model.source_paused = paused;
                self.model.noted_hosts.extend(self.model.hosts.map(|host| host.id));
                answered(store.pause_source(source.id, paused).await)
            }
            Call::PauseHost(n, paused) => {
                self.model.hosts[n].paused = paused;
                self.model.hosts[n].suspended &= paused;
                self.model.noted_hosts.insert(self.model.hosts[n].id);
                answered(store.pause_sourcehost(self.model.hosts[n].id, paused).await)
            }
            Call::Limit(n, limit) => {
                self.model.hosts[n].limit = limit;
                self.model.noted_hosts.insert(self.model.hosts[n].id);
                answered(store.set_max_connections(self.model.hosts[n].id, limit).await)
            }
            ref change => self.change(change).await,
        }
    }

    async fn prioritize(&mut self, user: usize, priority: bool) -> Checked {
        let (store, source) = (&self.scene.store, &self.scene.source);
        let Some(id) = self.users.get(&user) else { return Ok(()) };
        let got = answered(store.prioritize_latest(source, *id, priority).await)?;
        let Some(id) = self.model.latest(user) else { return same(&got, &Prioritized::Nothing) };
        let Some(row) = self.model.rows.get_mut(&id).filter(|row| row.status == Status::Scheduled) else {
            return same(&got, &Prioritized::NotWaiting(id, self.model.rows[&id].status));
        };
        row.priority = priority;
        self.model.noted_jobs.insert(id);
        same(&got, &Prioritized::Done(id))
    }

    /// Ends all that runs or waits, whatever became of it, and sees that nothing is left.
    async fn drain(&mut self) -> Checked {
        for user in 0..call::USERS {
            self.act(&Call::Close(User::Any(user), Status::Aborted)).await?;
        }
        while !self.model.leases.is_empty() {
            self.act(&Call::Finish(Which::Leased(0), Age::Same, Status::Success)).await?;
        }
        self.act(&Call::Relay { dies: false }).await?;
        self.compare().await?;
        check!(self.model.rows.values().all(|row| row.status.is_terminal()), "{:?} is open", self.model.rows);
        Ok(())
    }
}

async fn play(scene: &Scene, number: u64, calls: &[Call]) -> Checked {
    answered(scene.store.pause_source(scene.source.id, false).await)?;
    let mut hosts = Vec::new();
    for n in 0..HOSTS {
        let name = format!("history{number}.host{n}");
        let id = support::add_host(&scene.store, &scene.source, &name, 2).await;
        hosts.push(Host { id, limit: 2, paused: false, suspended: false });
    }
    let holders = [
        support::register(&scene.store, "worker-0").await,
        support::register(&scene.store, "worker-1").await,
    ];
    compare::empty_outbox(&scene.store).await?;
    let model = Model::new(scene.source.id, [hosts[0], hosts[1]]);
    let mut world = World { scene, number, holders, users: BTreeMap::new(), model, seen: Seen::default() };
    for (n, call) in calls.iter().enumerate() {
        world.step(call).await.map_err(|error| format!("call {n}, {call:?}: {error}"))?;
    }
    world.drain().await.map_err(|error| format!("at the end: {error}"))
}

#[test]
fn the_store_does_what_the_model_does() {
    let runtime = campaign::runtime();
    let (_lab, scene) = runtime.block_on(async {
        let lab = Lab::builder().mariadb().start().await.unwrap();
        let scene = support::scene(&lab, 1).await;
        (lab, scene)
    });
    let mut number = 0;
    campaign::run(8, &call::history(), |calls| {
        number += 1;
        runtime.block_on(play(&scene, number, &calls))
    });
}
