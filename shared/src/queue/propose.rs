//! Proposing: the next jobs of a target, each with a slot for a visibility time.

use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::{
    Error, Queue, Result,
    backend::Free,
    scripts::{Call, PROMOTE_DUE, PROPOSE_JOBS},
};
use crate::domain::ids::{HostId, JobId, TargetId};

/// Tells a proposal from every other one of the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// A job that could run next; its slot is taken until the visibility time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// The migration.
    pub job: JobId,
    /// The source host whose slot was taken.
    pub host: HostId,
    /// Whether it came from the priority queue.
    pub priority: bool,
    /// Which proposal of the job this is.
    pub ticket: Ticket,
}

/// The answer to one call.
#[derive(Debug)]
pub struct Proposals {
    /// What could run next, in order; may be empty.
    pub jobs: Vec<Proposal>,
    /// When the next delayed or expired job comes up.
    pub next_timer: Option<Duration>,
}

/// Most delayed or expired entries that one call looks at.
const CHORES: u32 = 100;

impl Queue {
    /// Takes at most as many jobs as there are free threads. What is not settled or confirmed
    /// within `visibility` is ready again.
    pub async fn propose(&self, target: TargetId, free: Free, visibility: Duration) -> Result<Proposals> {
        let mut call = Call::new(&PROPOSE_JOBS, self);
        call.arg(target.0).arg(free.total).arg(free.normal);
        call.arg(u64::try_from(visibility.as_millis()).unwrap_or(u64::MAX)).arg(CHORES);
        let Value::Array(answer) = call.run(self).await? else { return Err(Error::Inconsistent) };
        let mut items = answer.into_iter();
        let timer: i64 = read(items.next())?;
        let mut jobs = Vec::with_capacity(items.len() / 4);
        while let Some(member) = items.next() {
            let member: String = read(Some(member))?;
            let (host, priority): (u32, u8) = (read(items.next())?, read(items.next())?);
            let ticket = Ticket(read(items.next())?);
            let job = member.parse().map_err(|_| Error::Inconsistent)?;
            jobs.push(Proposal { job, host: HostId(host), priority: priority == 1, ticket });
        }
        let next_timer = u64::try_from(timer).ok().map(Duration::from_millis);
        Ok(Proposals { jobs, next_timer })
    }
}

/// Most entries of each kind that one call of [`Queue::promote_due`] looks at.
const PROMOTED_AT_ONCE: u64 = 500;
/// Most calls of one promotion.
const PROMOTE_CALLS: u32 = 20;

impl Queue {
    /// Makes ready what is due: delayed jobs of these targets, and proposals that nobody settled.
    /// `Rebuild` when the queues are lost.
    pub async fn promote_due(&self, targets: &[TargetId]) -> Result<()> {
        for _ in 0..PROMOTE_CALLS {
            let mut call = Call::new(&PROMOTE_DUE, self);
            call.arg(PROMOTED_AT_ONCE);
            for target in targets {
                call.arg(target.0);
            }
            if read::<u64>(Some(call.run(self).await?))? < PROMOTED_AT_ONCE {
                break;
            }
        }
        Ok(())
    }
}

/// Reads one value of an answer.
pub(super) fn read<T: FromRedisValue>(value: Option<Value>) -> Result<T> {
    value.and_then(|value| redis::from_redis_value(value).ok()).ok_or(Error::Inconsistent)
}
