//! What simulated workers do under their leases, and what they write down of it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};
use std::time::{Duration, Instant};

use dmf_shared::domain::migration::Status;
use dmf_shared::queue::Lessor as _;
use dmf_shared::store::{Counts, Finish, Finished};
use dmf_worker::doveadm::mail_log::StderrReader;
use dmf_worker::held::Held;
use dmf_worker::lessor::Claimant;
use dmf_worker::runtime::Run;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::work::Job;

/// What the names of users begin with whose migrations are held until the order comes, and of all others.
pub(super) const HELD: &str = "held";
pub(super) const RUN: &str = "run";
/// Pause after a result that could not be recorded.
const PAUSE: Duration = Duration::from_secs(1);
/// Troubles that are told one by one.
const TOLD: usize = 5;

/// A migration that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    /// Which one, counted from zero.
    pub(super) job: u32,
    /// When its claim was sent, when it was started, when it was done, and when its result stood in MariaDB.
    pub(super) claimed: Instant,
    pub(super) started: Instant,
    pub(super) done: Instant,
    pub(super) recorded: Instant,
}

/// What all simulated workers share.
#[derive(Debug)]
pub(super) struct Runs {
    jobs: Vec<Job>,
    ran: Mutex<Vec<Ran>>,
    /// Cancelled when what is held may end.
    pub(super) release: CancellationToken,
    /// How many were begun and ended of those that are held.
    pub(super) held: AtomicU32,
    pub(super) released: AtomicU32,
    /// How many have ended of the others.
    pub(super) ended: AtomicU32,
    troubles: Mutex<Vec<String>>,
    trouble_count: AtomicU32,
}

/// What the name of a user says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Hold,
    Run(u32),
}

/// The name of a user.
pub(super) fn user(kind: &str, number: u32) -> String {
    format!("{kind}.{number:08}@mail.example")
}

impl Task {
    fn of(user: &str) -> Option<Self> {
        let (kind, rest) = user.split_once('.')?;
        match kind {
            HELD => Some(Self::Hold),
            RUN => rest.split_once('@')?.0.parse().ok().map(Self::Run),
            _ => None,
        }
    }
}

impl Runs {
    pub(super) fn of(jobs: Vec<Job>) -> Self {
        Self {
            ran: Mutex::new(Vec::with_capacity(jobs.len())),
            jobs,
            release: CancellationToken::new(),
            held: AtomicU32::new(0),
            released: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            troubles: Mutex::default(),
            trouble_count: AtomicU32::new(0),
        }
    }

    /// Takes what was written down.
    pub(super) fn take(&self) -> Vec<Ran> {
        std::mem::take(&mut *lock(&self.ran))
    }

    /// How much went wrong, and the first of it.
    pub(super) fn troubles(&self) -> (u32, String) {
        (self.trouble_count.load(Ordering::SeqCst), lock(&self.troubles).join("; "))
    }

    fn trouble(&self, held: &Held, what: &str) {
        self.trouble_count.fetch_add(1, Ordering::SeqCst);
        let mut troubles = lock(&self.troubles);
        if troubles.len() < TOLD {
            troubles.push(format!("{}: {what}", held.name()));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In the place of doveadm.
#[derive(Debug)]
pub(super) struct Sleeper {
    claimant: Arc<Claimant>,
    runs: Arc<Runs>,
    /// What was read of doveadm: progress is told while something runs.
    output: StderrReader,
}

impl Sleeper {
    pub(super) fn new(claimant: Arc<Claimant>, runs: Arc<Runs>) -> Self {
        let mut output = StderrReader::new();
        output.feed(b"doveadm(user): Info: copy from INBOX: box=INBOX, uid=1\n");
        Self { claimant, runs, output }
    }

    /// Sleeps as long as the migration takes. `false` when it is not to be finished.
    async fn sleep(&self, held: &Held, task: Task) -> bool {
        let stop = held.stop_token();
        let sleep = async {
            match task {
                Task::Hold => self.runs.release.cancelled().await,
                Task::Run(job) => tokio::time::sleep(self.runs.jobs[job as usize].length).await,
            }
        };
        if stop.run_until_cancelled(sleep).await.is_none() {
            self.runs.trouble(held, "it was told to stop");
            return false;
        }
        if held.is_lost() {
            self.runs.trouble(held, "its lease was lost");
            return false;
        }
        true
    }

    /// Offers the result until MariaDB answers, or until the lease is lost, as the worker does.
    async fn record(&self, held: &Held, length: Duration) {
        held.begin_end();
        let finish = finish(length);
        loop {
            match self.claimant.finish(held, &finish).await {
                Ok(Finished::Recorded) => return,
                Ok(other) => return self.runs.trouble(held, &format!("it is {other:?}")),
                Err(error) => self.runs.trouble(held, &error.to_string()),
            }
            if held.is_lost() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Run for Sleeper {
    async fn run(&self, held: Arc<Held>) {
        let started = Instant::now();
        let claimed = started.checked_sub(held.age() + held.claim_took()).unwrap_or(started);
        let task = Task::of(&held.claimed.user.source_uid);
        let Some(task) =
            task.filter(|task| !matches!(task, Task::Run(job) if *job as usize >= self.runs.jobs.len()))
        else {
            self.runs.trouble(&held, "nobody knows this user");
            return self.claimant.hand_back(held).await;
        };
        if task == Task::Hold {
            self.runs.held.fetch_add(1, Ordering::SeqCst);
        }
        held.show_progress("dsync", self.output.so_far());
        if !self.sleep(&held, task).await {
            return self.claimant.hand_back(held).await;
        }
        let done = Instant::now();
        self.record(&held, done - started).await;
        let recorded = Instant::now();
        self.claimant.table.remove(&held);
        self.claimant.release(&held).await;
        match task {
            Task::Hold => self.runs.released.fetch_add(1, Ordering::SeqCst),
            Task::Run(job) => {
                lock(&self.runs.ran).push(Ran { job, claimed, started, done, recorded });
                self.runs.ended.fetch_add(1, Ordering::SeqCst)
            }
        };
    }
}

/// A result as long as a short one of a real migration.
fn finish(length: Duration) -> Finish {
    let count = Some(100);
    Finish {
        status: Status::Success,
        details: details(),
        counts: Counts {
            target_message_count: count,
            target_mailbox_size: Some(5_000_000),
            source_message_count: count,
            source_mailbox_size: Some(5_000_000),
            expunged_message_count: Some(0),
            sync_message_count: count,
            sync_speed: u64::try_from(length.as_millis()).ok(),
        },
        verification: None,
        attempt: 1,
    }
}

fn details() -> Value {
    let source = "-o imapc_host=imap.example -o imapc_user=user -o imapc_password=… -o imapc_ssl=imaps";
    json!([
        {
            "dsync": {
                "command": format!("doveadm {source} sync -1 -R -u user@mail.example imapc:"),
                "exitCode": 0,
                "saved": { "INBOX": 60, "Sent": 30, "Drafts": 10 },
                "expunged": {},
            },
        },
        {
            "count local mailbox post sync": {
                "command": "doveadm mailbox status -u user@mail.example 'messages vsize' '*'",
                "exitCode": 0,
                "mailboxes": { "INBOX": [60, 3_000_000], "Sent": [30, 1_500_000], "Drafts": [10, 500_000] },
            },
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_done() {
        assert_eq!(Task::of(&user(RUN, 4_711)), Some(Task::Run(4_711)));
        assert_eq!(Task::of(&user(HELD, 3)), Some(Task::Hold));
        assert_eq!(Task::of("somebody@mail.example"), None);
    }
}
