//! Heartbeats that replicas of Redis have heard. A master that was split off from them, with some workers on its
//! side, would go on confirming leases that the others reap.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::Value;

use super::{Error, Queue, Replicas, Result, Running, propose::read, scripts::HEARTBEAT_TEXT};

/// What is known of replicas.
#[derive(Clone)]
pub(super) struct Replicated {
    mode: Replicas,
    /// Whether Redis ever had replicas. A master that is split off forgets them after a time, so this never falls.
    seen: Arc<AtomicBool>,
}

impl Replicated {
    pub(super) fn new(mode: Replicas) -> Self {
        Self { mode, seen: Arc::new(AtomicBool::new(mode == Replicas::Required)) }
    }

    /// Whether replicas are of no interest.
    pub(super) fn is_off(&self) -> bool {
        self.mode == Replicas::None
    }
}

/// One answer.
struct Beaten {
    /// What the script said.
    answer: Value,
    /// Whether Redis has, or once had, replicas.
    has_replicas: bool,
    /// How many of them have heard it; `None` when they were not asked.
    acknowledged: Option<u64>,
}

impl Queue {
    /// Runs the heartbeat script; `Unreplicated` where a replica should have heard of it and has not.
    pub(super) async fn beat_replicated(&self, running: &[Running]) -> Result<Value> {
        let replicated = &self.replicated;
        if replicated.seen.load(Ordering::SeqCst) {
            return acknowledged(self.beat_once(running, true).await?);
        }
        let beaten = self.beat_once(running, false).await?;
        if !beaten.has_replicas {
            return Ok(beaten.answer);
        }
        tracing::info!("the queue's server has replicas: a heartbeat counts when one of them has heard it");
        replicated.seen.store(true, Ordering::SeqCst);
        self.note_replicas().await?;
        acknowledged(self.beat_once(running, true).await?)
    }

    async fn beat_once(&self, running: &[Running], waits: bool) -> Result<Beaten> {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").arg("replication");
        pipe.cmd("EXISTS").arg(self.replicas_key());
        let script = pipe.cmd("EVAL").arg(HEARTBEAT_TEXT).arg(1).arg(format!("{}gen", self.prefix()));
        script.arg(self.prefix());
        for job in running {
            script.arg(&job.args());
        }
        if waits {
            let limit = u64::try_from(self.deadline().as_millis() / 2).unwrap_or(u64::MAX);
            pipe.cmd("WAIT").arg(1).arg(limit.max(1));
        }
        let mut connection = self.heartbeat_connection()?;
        let answers: Vec<Value> = tokio::time::timeout(self.deadline(), pipe.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        let mut answers = answers.into_iter();
        let info: String = read(answers.next())?;
        let noted: bool = read(answers.next())?;
        let answer = answers.next().ok_or(Error::Inconsistent)?;
        let acknowledged = if waits { Some(read(answers.next())?) } else { None };
        Ok(Beaten { answer, has_replicas: noted || replicas(&info) > 0, acknowledged })
    }

    /// For workers that start later, perhaps when this server was split off.
    async fn note_replicas(&self) -> Result<()> {
        let mut set = redis::cmd("SET");
        set.arg(self.replicas_key()).arg(1);
        let mut connection = self.heartbeat_connection()?;
        tokio::time::timeout(self.deadline(), set.exec_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        Ok(())
    }

    fn replicas_key(&self) -> String {
        format!("{}replicas", self.prefix())
    }
}

fn acknowledged(beaten: Beaten) -> Result<Value> {
    if beaten.acknowledged.is_some_and(|count| count > 0) {
        Ok(beaten.answer)
    } else {
        Err(Error::Unreplicated)
    }
}

fn replicas(info: &str) -> u32 {
    let count = info.lines().find_map(|line| line.strip_prefix("connected_slaves:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_counted() {
        assert_eq!(replicas("# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=1\r\n"), 2);
        assert_eq!(replicas("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"), 0);
        assert_eq!(replicas(""), 0);
    }
}
