//! What a call of each Lua script costs Redis, whatever waits.
//!
//! Redis itself counts the time of its calls (`INFO commandstats`); the time of a round trip stands beside it, since
//! that holds sockets and this process, too.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dmf_shared::{
    domain::ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId},
    queue::{
        Free, Hold, Host, Job, JobState, Options, Progress, Proposal, Queue, Replicas, Running, Settlement,
        Then,
    },
};
use redis::aio::MultiplexedConnection;

const TARGET: TargetId = TargetId(1);
/// Source hosts, which the jobs wait for in turn.
const HOSTS: u32 = 20;
/// Calls of each script in a round. With [`MOST_JOBS`] in each they take a part of the shortest backlog only.
const CALLS: u32 = 20;
const MOST_JOBS: u32 = 10;
/// How many jobs a call has.
const SIZES: [u32; 2] = [1, MOST_JOBS];
/// Longer than a measurement takes.
const LONG: Duration = Duration::from_hours(1);

/// What was called, in the order of a job's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Push,
    Propose,
    Claim,
    Heartbeat,
    Progress,
    PutBack,
    Finish,
    PromoteDue,
    TakeLead,
}

impl Call {
    /// The script, and what it does here.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Push => "push_jobs",
            Self::Propose => "propose_jobs",
            Self::Claim => "heartbeat_jobs, the first of a lease",
            Self::Heartbeat => "heartbeat_jobs",
            Self::Progress => "report_progress",
            Self::PutBack => "settle_jobs, back to its place",
            Self::Finish => "settle_jobs, finished",
            Self::PromoteDue => "promote_due, nothing is due",
            Self::TakeLead => "take_lead",
        }
    }
}

/// What one call took, round by round.
#[derive(Debug, Default)]
pub(crate) struct Figure {
    /// In Redis.
    pub(crate) server: Vec<Duration>,
    /// From here to Redis and back.
    pub(crate) round_trip: Vec<Duration>,
}

/// Figures by script and by the jobs of a call.
pub(crate) type Figures = BTreeMap<(Call, u32), Figure>;

/// Measures every script on this Redis, which is emptied, before so many waiting jobs.
pub(crate) async fn measure(url: &str, backlog: u32, rounds: usize) -> Result<Figures> {
    // Without replicas, so that heartbeats are calls of a script and nothing beside.
    let queue = Queue::connect_lazily(&Options { replicas: Replicas::None, ..Options::at(url) })?;
    let redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut meter = Meter { redis, queue, figures: Figures::new() };
    meter.load(backlog).await?;
    // The first round has Redis read the scripts.
    for round in 0..=rounds {
        for size in SIZES {
            meter.round(size).await?;
        }
        if round == 0 {
            meter.figures.clear();
        }
    }
    Ok(meter.figures)
}

struct Meter {
    redis: MultiplexedConnection,
    queue: Queue,
    figures: Figures,
}

impl Meter {
    async fn load(&mut self, backlog: u32) -> Result<()> {
        redis::cmd("FLUSHALL").exec_async(&mut self.redis).await?;
        let rebuild = self.queue.begin_rebuild().await?.context("somebody else rebuilds the queue")?;
        let host = |host| Host { host: HostId(host), limit: 1_000, reserved_for_priority: 0 };
        rebuild.load_hosts(&(0..HOSTS).map(host).collect::<Vec<_>>()).await?;
        let job =
            |n: u32| job(JobId { source: SourceId(1), journal: JournalId(n.into()) }, HostId(n % HOSTS));
        rebuild.load_jobs(&(0..backlog).map(job).collect::<Vec<_>>()).await?;
        rebuild.finish().await?;
        Ok(())
    }

    /// Jobs go all their ways, each script once for each of the calls; in the end all wait again.
    async fn round(&mut self, size: u32) -> Result<()> {
        let queue = self.queue.clone();
        let proposals = self.propose(size).await?;
        let back = map(&proposals, |it| settlement(it, Hold::Proposal(it.ticket), Then::Ready));
        self.time(Call::PutBack, size, back.iter().map(|jobs| queue.settle(jobs))).await?;

        let proposals = self.propose(size).await?;
        let running = map(&proposals, running);
        for call in [Call::Claim, Call::Heartbeat] {
            let answers = self.time(call, size, running.iter().map(|jobs| queue.heartbeat(jobs))).await?;
            ensure!(answers.iter().flatten().all(|confirmed| *confirmed), "a lease was not confirmed");
        }
        let reports = map(&proposals, |it| (it.job, progress()));
        let reports = reports.iter().map(|jobs| queue.report_progress("default/bench", jobs));
        self.time(Call::Progress, size, reports).await?;
        let ends = map(&proposals, |it| settlement(it, Hold::Lease(Epoch(1)), Then::Drop));
        let freed = self.time(Call::Finish, size, ends.iter().map(|jobs| queue.settle(jobs))).await?;
        ensure!(freed.iter().all(|freed| *freed == u64::from(size)), "a slot was not freed");
        let jobs = map(&proposals, |it| job(it.job, it.host));
        self.time(Call::Push, size, jobs.iter().map(|jobs| queue.restore_jobs(jobs))).await?;

        // These know nothing of single jobs.
        if size == 1 {
            self.time(Call::PromoteDue, size, (0..CALLS).map(|_| queue.promote_due(&[TARGET]))).await?;
            self.time(Call::TakeLead, size, (0..CALLS).map(|_| queue.take_lead("bench", "me", LONG))).await?;
        }
        Ok(())
    }

    async fn propose(&mut self, size: u32) -> Result<Vec<Vec<Proposal>>> {
        let queue = self.queue.clone();
        let free = Free { total: size, normal: size };
        let calls = (0..CALLS).map(|_| queue.propose(TARGET, free, LONG));
        let proposed = self.time(Call::Propose, size, calls).await?;
        let jobs: Vec<_> = proposed.into_iter().map(|proposed| proposed.jobs).collect();
        ensure!(jobs.iter().all(|jobs| jobs.len() == size as usize), "too few jobs wait");
        Ok(jobs)
    }

    /// Makes the calls one after the other, and notes what one of them took on average.
    async fn time<T>(
        &mut self,
        call: Call,
        size: u32,
        calls: impl Iterator<Item = impl Future<Output = dmf_shared::queue::Result<T>>>,
    ) -> Result<Vec<T>> {
        let (calls_before, before) = self.server_time().await?;
        let begun = Instant::now();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await?);
        }
        let round_trip = begun.elapsed() / CALLS;
        let (calls_after, after) = self.server_time().await?;
        let called = u32::try_from(calls_after - calls_before)?;
        ensure!(called >= CALLS, "{}: Redis counted {called} calls", call.name());
        let figure = self.figures.entry((call, size)).or_default();
        figure.server.push(after.saturating_sub(before) / called);
        figure.round_trip.push(round_trip);
        Ok(answers)
    }

    /// How many scripts Redis has run so far, and how long it took for them.
    async fn server_time(&mut self) -> Result<(u64, Duration)> {
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut self.redis).await?;
        let Some(line) = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")) else {
            return Ok((0, Duration::ZERO));
        };
        let field = |name: &str| -> Result<u64> {
            let value = line.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            value.with_context(|| format!("no {name} in {line}"))?.trim().parse().context(name.to_owned())
        };
        Ok((field("calls")?, Duration::from_micros(field("usec")?)))
    }
}

/// Something for each job of each call.
fn map<T>(calls: &[Vec<Proposal>], make: impl Fn(&Proposal) -> T) -> Vec<Vec<T>> {
    calls.iter().map(|jobs| jobs.iter().map(&make).collect()).collect()
}

const fn job(job: JobId, host: HostId) -> Job {
    let state = JobState::Ready { after: Duration::ZERO };
    Job { job, state, epoch: Epoch(1), target: TARGET, host, priority: false }
}

const fn settlement(proposal: &Proposal, hold: Hold, then: Then) -> Settlement {
    Settlement { job: proposal.job, hold, then }
}

const fn running(proposal: &Proposal) -> Running {
    Running { job: proposal.job, epoch: Epoch(1), host: proposal.host, target: TARGET, priority: false }
}

fn progress() -> Progress {
    let (step, mailbox) = ("sync".to_owned(), Some("Folder/1".to_owned()));
    Progress { epoch: Epoch(1), step, mailbox, saved: 1_000, expunged: 0 }
}
