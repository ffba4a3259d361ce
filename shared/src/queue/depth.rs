//! How much waits, for metrics: read in few round trips, whatever the backlog, and changed by nothing.

use std::time::Duration;

use redis::aio::ConnectionManager;

use super::{Error, Queue, Result};
use crate::domain::ids::{HostId, JobId, TargetId};

/// Commands of one round trip.
const CHUNK: usize = 500;

/// What waits in one queue: that of a target, a source host and a priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Whose workers may take it.
    pub target: TargetId,
    /// Whether it goes first.
    pub priority: bool,
    /// How many wait.
    pub jobs: u64,
    /// The one that has waited for longest.
    pub first: Option<JobId>,
}

impl Queue {
    /// Every ready queue that is not empty.
    pub async fn depths(&self, hosts: &[HostId]) -> Result<Vec<Depth>> {
        let mut keys = Vec::new();
        for hosts in hosts.chunks(CHUNK) {
            let mut pipe = redis::pipe();
            for host in hosts {
                pipe.cmd("SMEMBERS").arg(format!("{}hq:{host}", self.prefix()));
            }
            let queues: Vec<Vec<String>> = self.ask(&pipe).await?;
            for (host, queues) in hosts.iter().zip(queues) {
                keys.extend(queues.into_iter().map(|queue| (queue, *host)));
            }
        }
        let mut depths = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let mut pipe = redis::pipe();
            for (queue, host) in keys {
                let key = format!("{}q:{queue}:{host}", self.prefix());
                pipe.cmd("ZCARD").arg(&key).cmd("ZRANGE").arg(&key).arg(0).arg(0);
            }
            let answers: Vec<redis::Value> = self.ask(&pipe).await?;
            for ((queue, _), answer) in keys.iter().zip(answers.chunks(2)) {
                let (target, priority) = read_queue(queue)?;
                let [jobs, first] = answer else { return Err(Error::Inconsistent) };
                let jobs: u64 = super::propose::read(Some(jobs.clone()))?;
                let first: Vec<String> = super::propose::read(Some(first.clone()))?;
                let first = first.first().map(|member| member.parse()).transpose();
                let first = first.map_err(|_| Error::Inconsistent)?;
                depths.push(Depth { target, priority, jobs, first });
            }
        }
        Ok(depths)
    }

    /// How many wait for their time, by target.
    pub async fn delayed(&self, targets: &[TargetId]) -> Result<Vec<u64>> {
        let mut pipe = redis::pipe();
        for target in targets {
            pipe.cmd("ZCARD").arg(format!("{}delayed:{target}", self.prefix()));
        }
        if targets.is_empty() { Ok(Vec::new()) } else { self.ask(&pipe).await }
    }

    async fn ask<T: redis::FromRedisValue>(&self, pipe: &redis::Pipeline) -> Result<T> {
        let mut connection: ConnectionManager = self.connection()?;
        let limit: Duration = self.deadline();
        Ok(tokio::time::timeout(limit, pipe.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??)
    }
}

/// `<target>:<1 or 0>`
fn read_queue(text: &str) -> Result<(TargetId, bool)> {
    let (target, priority) = text.split_once(':').ok_or(Error::Inconsistent)?;
    Ok((TargetId(target.parse().map_err(|_| Error::Inconsistent)?), priority == "1"))
}
