//! The reconciler: brings the queue back in line with MariaDB where they drifted apart. One scheduler
//! at a time does it.
//!
//! It never takes a waiting job out of the queue: a claim that is refused does that. Of slots it repairs only
//! what two rounds saw: between its look at the one store and that at the other, migrations start and end.

mod suspects;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use dmf_shared::{
    domain::ids::{HostId, JobId, JournalId, SourceId},
    queue::{self, HeldSlot, Hold, Life, Queue, Settlement, Then},
    store::{self, LeasedJob, Store},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::suspects::Suspects;
use crate::{
    duty::{TookTooLong, in_time},
    relay,
};

/// Time between two slices of the waiting rows.
const TICK: Duration = Duration::from_secs(2);
/// Rows of one slice: a million rows take some seven minutes of a round.
const SLICE: u32 = 5_000;
/// Most Sources of one slice, where few rows wait: each is asked.
const SOURCES: usize = 50;
/// Time between two looks at all hosts and all slots. What is wrong is right after two of them.
const HOSTS_EVERY: Duration = Duration::from_secs(15);
/// A proposal that is left for so long is nobody's: by now its visibility time is over, unless the clock of Redis
/// was set back.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// How long the lead lasts without a tick.
const LEAD: Duration = Duration::from_secs(15);

/// Why a tick failed; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// MariaDB failed.
    #[error("the database can't be read")]
    Store(#[from] store::Error),
    /// Redis failed.
    #[error("the queue can't be reconciled")]
    Queue(#[from] queue::Error),
    /// One of them did not answer.
    #[error(transparent)]
    Late(#[from] TookTooLong),
}

/// What was found to have drifted since this process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drift {
    /// Waiting rows that the queue had forgotten.
    pub forgotten: u64,
    /// Leases without a slot.
    pub missing_slots: u64,
    /// Slots without a lease.
    pub leaked_slots: u64,
    /// Proposals that nobody settled and that did not expire.
    pub stuck_proposals: u64,
    /// Source hosts that are gone and were known still.
    pub gone_hosts: u64,
}

impl Drift {
    /// Counts what was repaired since `before`.
    fn count(self, before: Self) {
        for (kind, now, then) in [
            ("forgotten", self.forgotten, before.forgotten),
            ("missing-slot", self.missing_slots, before.missing_slots),
            ("leaked-slot", self.leaked_slots, before.leaked_slots),
            ("stuck-proposal", self.stuck_proposals, before.stuck_proposals),
            ("gone-host", self.gone_hosts, before.gone_hosts),
        ] {
            metrics::counter!("dmf.drift", "kind" => kind).increment(now - then);
        }
    }
}

/// Where the slices have come to: the last row that was looked at.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    source: SourceId,
    after: JournalId,
}

const START: Cursor = Cursor { source: SourceId(0), after: JournalId(0) };

/// What reconciles.
#[derive(Debug)]
pub struct Reconciler {
    store: Store,
    queue: Queue,
    token: String,
    cursor: Cursor,
    hosts_at: Option<Instant>,
    life: Option<Life>,
    /// Seen in the last round: leases without a slot, and slots without a lease.
    missing: HashSet<LeasedJob>,
    leaked: HashSet<(JobId, Hold)>,
    proposals: Suspects,
    drift: Drift,
}

/// Reconciles until `stop`.
pub async fn run(store: Store, queue: Queue, stop: CancellationToken) {
    let mut reconciler = Reconciler::new(store, queue);
    // From the start: who watches the rate sees the first one then.
    Drift::default().count(Drift::default());
    while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        match reconciler.tick().await {
            // A queue that is lost is rebuilt by the relay.
            Ok(()) | Err(Error::Queue(queue::Error::Rebuild)) => {}
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "not reconciled"),
        }
    }
}

impl Reconciler {
    /// One that has seen nothing yet.
    pub fn new(store: Store, queue: Queue) -> Self {
        Self {
            store,
            queue,
            token: Uuid::new_v4().to_string(),
            cursor: START,
            hosts_at: None,
            life: None,
            missing: HashSet::new(),
            leaked: HashSet::new(),
            proposals: Suspects::default(),
            drift: Drift::default(),
        }
    }

    /// What was found to have drifted so far.
    pub fn drift(&self) -> Drift {
        self.drift
    }

    /// What is to be done every two seconds, if this scheduler has the lead.
    pub async fn tick(&mut self) -> Result<(), Error> {
        let before = self.drift;
        let done = self.repair().await;
        if self.drift != before {
            self.drift.count(before);
            tracing::warn!(drift = ?self.drift, "the queue had drifted and was repaired");
        }
        done
    }

    async fn repair(&mut self) -> Result<(), Error> {
        if !self.queue.take_lead("reconciler", &self.token, LEAD).await? {
            // What this one saw is old when it leads again.
            self.begin_again();
            return Ok(());
        }
        let life = self.queue.life().await?;
        if self.life.replace(life.clone()).is_some_and(|known| known != life) {
            // It came back with what it had some time ago, or with nothing.
            self.begin_again();
        }
        if self.hosts_at.is_none_or(|last| last.elapsed() >= HOSTS_EVERY) {
            self.look_at_hosts().await?;
            let deleted = in_time::<_, Error>(async { Ok(self.store.finish_deletions().await?) }).await?;
            if deleted > 0 {
                tracing::info!(deleted, "deletions of Sources that were cut off are finished");
            }
            self.hosts_at = Some(Instant::now());
        }
        self.promote().await?;
        self.push_slice().await
    }

    fn begin_again(&mut self) {
        self.cursor = START;
        self.hosts_at = None;
        self.missing.clear();
        self.leaked.clear();
        self.proposals = Suspects::default();
    }

    /// Looks at all slots and all hosts.
    pub async fn look_at_hosts(&mut self) -> Result<(), Error> {
        // Read before the leases: a slot of a claim that was made after this look is not seen.
        let (slots, known) = in_time::<_, Error>(async {
            Ok((self.queue.all_slots().await?, self.queue.known_hosts().await?))
        })
        .await?;
        let (leases, hosts) = in_time::<_, Error>(async {
            Ok((self.store.all_leases().await?, self.store.all_hosts().await?))
        })
        .await?;
        self.free_leaked(&slots, &leases).await?;
        self.make_missing(&slots, &leases).await?;
        self.free_stuck(&slots).await?;
        // A host that is not there now, though Redis knew it before, is gone: ids are not used again.
        let there: HashSet<HostId> = hosts.iter().map(|host| host.host).collect();
        let gone: Vec<_> = known.into_iter().filter(|host| !there.contains(host)).collect();
        self.queue.forget_hosts(&gone).await?;
        self.drift.gone_hosts += gone.len() as u64;
        // After the slots, so that the rings follow from what is right: also a suspension that is over.
        let hosts: Vec<_> = hosts.iter().map(relay::host).collect();
        self.queue.set_hosts(&hosts).await?;
        Ok(())
    }

    /// Frees slots of migrations whose lease is gone. Their jobs go back to the queue: if one waits, it must
    /// not be forgotten; if not, one claim is refused.
    async fn free_leaked(
        &mut self,
        slots: &HashMap<JobId, HeldSlot>,
        leases: &[LeasedJob],
    ) -> Result<(), Error> {
        let leased: HashSet<JobId> = leases.iter().map(|lease| lease.job).collect();
        let seen: HashSet<(JobId, Hold)> = slots
            .iter()
            .filter(|(job, slot)| matches!(slot.hold, Hold::Lease(_)) && !leased.contains(job))
            .map(|(job, slot)| (*job, slot.hold))
            .collect();
        let leaked: Vec<_> = seen
            .intersection(&self.leaked)
            .map(|(job, hold)| Settlement { job: *job, hold: *hold, then: Then::Ready })
            .collect();
        self.drift.leaked_slots += self.queue.settle(&leaked).await?;
        self.leaked = seen;
        Ok(())
    }

    /// Makes slots of leases that have none.
    async fn make_missing(
        &mut self,
        slots: &HashMap<JobId, HeldSlot>,
        leases: &[LeasedJob],
    ) -> Result<(), Error> {
        let seen: HashSet<LeasedJob> =
            leases.iter().filter(|lease| !slots.contains_key(&lease.job)).copied().collect();
        let missing: Vec<_> = seen.intersection(&self.missing).map(relay::running).collect();
        self.queue.restore_jobs(&missing).await?;
        self.drift.missing_slots += missing.len() as u64;
        self.missing = seen;
        Ok(())
    }

    /// Ends proposals that stand for too long by the clock of this process.
    async fn free_stuck(&mut self, slots: &HashMap<JobId, HeldSlot>) -> Result<(), Error> {
        let proposals = slots
            .iter()
            .filter(|(_, slot)| matches!(slot.hold, Hold::Proposal(_)))
            .map(|(job, slot)| (*job, slot.hold));
        let stuck: Vec<_> = self
            .proposals
            .look(proposals, Instant::now(), FORGOTTEN)
            .into_iter()
            .map(|(job, hold)| Settlement { job, hold, then: Then::Ready })
            .collect();
        self.drift.stuck_proposals += self.queue.settle(&stuck).await?;
        Ok(())
    }

    /// Makes ready what is due.
    async fn promote(&self) -> Result<(), Error> {
        let targets = in_time::<_, Error>(async { Ok(self.store.targets().await?) }).await?;
        let targets: Vec<_> = targets.iter().map(|target| target.id).collect();
        Ok(self.queue.promote_due(&targets).await?)
    }

    /// Pushes the next waiting rows: over as many Sources as it takes to fill a slice.
    pub async fn push_slice(&mut self) -> Result<(), Error> {
        let mut sources = in_time::<_, Error>(async { Ok(self.store.sources().await?) }).await?;
        sources.sort_by_key(|source| source.id);
        let from = sources.partition_point(|source| source.id < self.cursor.source);
        let (mut left, mut cursor) = (SLICE, self.cursor);
        for source in sources[from..].iter().take(SOURCES) {
            if source.id != cursor.source {
                cursor = Cursor { source: source.id, after: JournalId(0) };
            }
            let (forgotten, last, rows) = in_time::<_, Error>(async {
                let page = self.store.waiting_jobs(source, cursor.after, left).await?;
                let jobs: Vec<_> = page.iter().filter_map(relay::job).collect();
                let last = page.last().map_or(cursor.after, |last| last.job.journal);
                Ok((self.queue.restore_jobs(&jobs).await?, last, page.len()))
            })
            .await?;
            self.drift.forgotten += forgotten;
            left -= u32::try_from(rows).unwrap_or(left).min(left);
            cursor.after = last;
            self.cursor = cursor;
            if left == 0 {
                return Ok(());
            }
            // The next slice begins with the next Source.
            self.cursor = Cursor { source: SourceId(source.id.0 + 1), after: JournalId(0) };
        }
        if sources.len() <= from + SOURCES {
            self.cursor = START;
        }
        Ok(())
    }
}
