//! Histories of the queue.

mod call;
mod model;
mod proposing;

use apalis_core::{backend::TaskSink as _, task::builder::TaskBuilder};
use dmf_lab::Lab;
use dmf_shared::{
    domain::ids::TargetId,
    queue::{Error, Free, Host, Job, Life as QueueLife, Producer, Queue, Rebuild, Then},
};
use futures::stream;
use redis::aio::MultiplexedConnection;

use self::{
    call::{Call, LONG, TARGETS, all_jobs},
    model::{Life, Model},
};
use super::campaign::{self, Checked};
use crate::{check, support};

/// The queue, the model of it, and what a history has in hand.
struct World {
    queue: Queue,
    raw: MultiplexedConnection,
    model: Model,
    /// Rebuilds that were begun and not finished, each with its number.
    rebuilds: Vec<(usize, Rebuild)>,
    begun: usize,
    seen: Option<(Life, QueueLife)>,
}

/// What a call that needs the queues must answer.
fn refused<T>(answer: Result<T, Error>, usable: bool, what: &str) -> Checked<Option<T>> {
    match answer {
        Ok(answer) if usable => Ok(Some(answer)),
        Err(Error::Rebuild) if !usable => Ok(None),
        Ok(_) => Err(format!("{what} went through without queues")),
        Err(error) => Err(format!("{what}: {error:?}")),
    }
}

impl World {
    async fn step(&mut self, call: &Call) -> Checked {
        match call {
            Call::Push { jobs, sink } => self.push(&call::jobs(jobs, &self.model), *sink).await?,
            Call::Propose { target, total, normal, visible } => {
                self.propose(TargetId(*target), Free { total: *total, normal: *normal }, *visible).await?;
            }
            Call::Settle(settled) => {
                let settlements = call::settlements(settled, &self.model);
                let freed = self.queue.settle(&settlements).await.map_err(|error| format!("{error:?}"))?;
                let expected = self.model.settle(&settlements);
                check!(freed == expected, "{freed} slots were freed, not {expected}");
            }
            Call::Heartbeat(beaten) => {
                let running = call::running(beaten, &self.model);
                let heard = self.queue.heartbeat(&running).await.map_err(|error| format!("{error:?}"))?;
                let expected = self.model.heartbeat(&running);
                check!(heard == expected, "{running:?} got {heard:?}, not {expected:?}");
            }
            Call::SetHosts(hosts) => self.set_hosts(hosts).await?,
            Call::ForgetHost(host) => {
                let usable = self.model.life == Life::Built;
                if refused(self.queue.forget_hosts(&[*host]).await, usable, "a deletion")?.is_some() {
                    self.model.forget_host(*host);
                }
            }
            Call::PromoteDue => {
                let usable = self.model.life == Life::Built;
                let targets: Vec<_> = (1..=TARGETS).map(TargetId).collect();
                if refused(self.queue.promote_due(&targets).await, usable, "a promotion")?.is_some() {
                    for target in targets {
                        self.model.let_time_pass(target);
                    }
                }
            }
            Call::FlushAll => self.flush().await,
            Call::BeginRebuild => self.begin().await?,
            Call::Load { newest, hosts, jobs } => {
                self.load(*newest, hosts, &call::jobs(jobs, &self.model)).await?;
            }
            Call::FinishRebuild { newest } => self.finish(*newest).await?,
            Call::AbandonRebuild { newest } => self.abandon(*newest).await?,
        }
        self.compare().await
    }

    async fn push(&mut self, jobs: &[Job], sink: bool) -> Checked {
        let usable = self.model.life == Life::Built;
        if sink {
            let tasks: Vec<_> = jobs.iter().map(|job| TaskBuilder::new(*job).build()).collect();
            let pushed = Producer::new(self.queue.clone()).push_all(stream::iter(tasks)).await;
            check!(pushed.is_ok() == usable, "the sink said {pushed:?}");
            if usable {
                self.model.push(jobs);
            }
        } else if let Some(forgotten) = refused(self.queue.restore_jobs(jobs).await, usable, "a push")? {
            let (least, most) = self.model.push(jobs);
            check!((least..=most).contains(&forgotten), "{forgotten} were forgotten, not {least} to {most}");
        }
        Ok(())
    }

    async fn propose(&mut self, target: TargetId, free: Free, visible: bool) -> Checked<usize> {
        let visibility = if visible { LONG } else { std::time::Duration::ZERO };
        let answer = self.queue.propose(target, free, visibility).await;
        let Some(answer) = refused(answer, self.model.life == Life::Built, "a look")? else { return Ok(0) };
        self.model
            .propose(target, free, visible, &answer.jobs)
            .map_err(|error| format!("{error} ({answer:?})"))?;
        let timer = self.model.has_timer(target);
        check!(answer.next_timer.is_some() == timer, "the next timer is {:?}", answer.next_timer);
        Ok(answer.jobs.len())
    }

    async fn set_hosts(&mut self, hosts: &[Host]) -> Checked {
        let usable = self.model.life == Life::Built;
        if refused(self.queue.set_hosts(hosts).await, usable, "limits")?.is_some() {
            self.model.set_hosts(hosts);
        }
        Ok(())
    }

    async fn flush(&mut self) {
        redis::cmd("FLUSHALL").exec_async(&mut self.raw).await.unwrap();
        self.model = Model::lost();
    }

    async fn begin(&mut self) -> Checked {
        let begun = self.queue.begin_rebuild().await.map_err(|error| format!("{error:?}"))?;
        check!(
            begun.is_some() == (self.model.life == Life::Lost),
            "a rebuild began in {:?}",
            self.model.life
        );
        if let Some(rebuild) = begun {
            self.begun += 1;
            self.model.life = Life::Building(self.begun);
            self.rebuilds.push((self.begun, rebuild));
        }
        Ok(())
    }

    async fn load(&mut self, newest: bool, hosts: &[Host], jobs: &[Job]) -> Checked {
        let chosen = if newest { self.rebuilds.last() } else { self.rebuilds.first() };
        let Some((number, rebuild)) = chosen else { return Ok(()) };
        let usable = self.model.life == Life::Building(*number);
        if refused(rebuild.load_hosts(hosts).await, usable, "a load of hosts")?.is_some() {
            self.model.set_hosts(hosts);
        }
        if refused(rebuild.load_jobs(jobs).await, usable, "a load of jobs")?.is_some() {
            self.model.push(jobs);
        }
        Ok(())
    }

    async fn finish(&mut self, newest: bool) -> Checked {
        if self.rebuilds.is_empty() {
            return Ok(());
        }
        let index = if newest { self.rebuilds.len() - 1 } else { 0 };
        let (number, rebuild) = self.rebuilds.remove(index);
        let usable = self.model.life == Life::Building(number);
        if refused(rebuild.finish().await, usable, "the end of a rebuild")?.is_some() {
            self.model.life = Life::Built;
        }
        Ok(())
    }

    async fn abandon(&mut self, newest: bool) -> Checked {
        if self.rebuilds.is_empty() {
            return Ok(());
        }
        let index = if newest { self.rebuilds.len() - 1 } else { 0 };
        let (number, rebuild) = self.rebuilds.remove(index);
        rebuild.abandon().await.map_err(|error| format!("{error:?}"))?;
        if self.model.life == Life::Building(number) {
            self.model.life = Life::Lost;
        }
        Ok(())
    }

    /// Every slot, and whether the lives of the queue differ when they must.
    async fn compare(&mut self) -> Checked {
        let jobs: Vec<_> = all_jobs().collect();
        let (life, slots) = self.queue.slots_of(&jobs).await.map_err(|error| format!("{error:?}"))?;
        let expected = self.model.slots();
        for (job, slot) in jobs.iter().zip(slots) {
            check!(slot.as_ref() == expected.get(job), "{job} has {slot:?}, not {:?}", expected.get(job));
        }
        if let Some((known, queue)) = &self.seen {
            check!(
                (*known == self.model.life) == (*queue == life),
                "{:?} is {life:?}, and was {queue:?}",
                self.model.life
            );
        }
        self.seen = Some((self.model.life, life));
        Ok(())
    }

    /// Takes everything out and sees that nothing was lost and nothing is left.
    async fn drain(&mut self) -> Checked {
        self.begin().await?;
        if let Life::Building(number) = self.model.life
            && let Some(index) = self.rebuilds.iter().position(|rebuild| rebuild.0 == number)
        {
            let last = self.rebuilds.len() - 1;
            self.rebuilds.swap(index, last);
            self.finish(true).await?;
        }
        check!(self.queue.is_built().await.unwrap(), "the queue is not built");
        self.release_all().await?;
        self.set_hosts(&call::every_host(1_000)).await?;
        for target in (1..=TARGETS).map(TargetId) {
            while self.propose(target, Free { total: 3, normal: 2 }, true).await? > 0 {
                self.compare().await?;
                self.release_all().await?;
            }
        }
        check!(self.model.waiting().is_empty(), "{:?} wait and never came", self.model.waiting());
        let left = self.queue.all_slots().await.map_err(|error| format!("{error:?}"))?;
        check!(left.is_empty(), "slots are left: {left:?}");
        Ok(())
    }

    async fn release_all(&mut self) -> Checked {
        let held = self.model.held_jobs();
        let settlements: Vec<_> = held.into_iter().map(|job| self.model.release(job, Then::Drop)).collect();
        let freed = self.queue.settle(&settlements).await.map_err(|error| format!("{error:?}"))?;
        let expected = self.model.settle(&settlements);
        check!(freed == expected, "{freed} slots were freed, not {expected}");
        Ok(())
    }
}

async fn play(queue: &Queue, raw: &MultiplexedConnection, hosts: &[Host], calls: &[Call]) -> Checked {
    let (queue, raw) = (queue.clone(), raw.clone());
    let mut world = World { queue, raw, model: Model::lost(), rebuilds: Vec::new(), begun: 0, seen: None };
    world.flush().await;
    world.begin().await?;
    world.load(true, hosts, &[]).await?;
    world.finish(true).await?;
    for (number, call) in calls.iter().enumerate() {
        world.step(call).await.map_err(|error| format!("call {number}, {call:?}: {error}"))?;
    }
    world.drain().await.map_err(|error| format!("at the end: {error}"))
}

#[test]
fn the_scripts_do_what_the_model_does() {
    let runtime = campaign::runtime();
    let (_lab, queue, raw) = runtime.block_on(async {
        let lab = Lab::builder().redis().start().await.unwrap();
        let client = redis::Client::open(lab.redis().url()).unwrap();
        let raw = client.get_multiplexed_async_connection().await.unwrap();
        let queue = support::queue(&lab);
        (lab, queue, raw)
    });
    campaign::run(1, &call::history(), |(hosts, calls)| runtime.block_on(play(&queue, &raw, &hosts, &calls)));
}
