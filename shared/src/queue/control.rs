//! The control channel of a worker: orders reach it at once, also when it is cut off from MariaDB.
//! Messages get lost, so the heartbeat's read-back brings the same; and since MariaDB may be what the worker is cut
//! off from, Redis keeps the orders about migrations for a while.

use std::{fmt, str::FromStr};

use tokio::sync::mpsc;

use super::{Error, Queue, Result};
use crate::domain::{
    ids::{BackendId, Epoch, JobId},
    migration::Status,
};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Something is wanted of the worker: read it from MariaDB now.
    Look,
    /// Kill this migration; it is ABORTED then.
    Cancel(JobId, Epoch),
    /// Kill this migration; its record is closed already, with this end state.
    Close(JobId, Epoch, Status),
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look => f.write_str("look"),
            Self::Cancel(job, epoch) => write!(f, "cancel {job} {epoch}"),
            Self::Close(job, epoch, end) => write!(f, "close {job} {epoch} {}", end.as_str()),
        }
    }
}

impl FromStr for Control {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<_> = text.split(' ').collect();
        let migration = |job: &str, epoch: &str| {
            let job = job.parse().map_err(|_| Error::Inconsistent)?;
            Ok::<_, Error>((job, epoch.parse().map_err(|_| Error::Inconsistent)?))
        };
        match words[..] {
            ["look"] => Ok(Self::Look),
            ["cancel", job, epoch] => migration(job, epoch).map(|(job, epoch)| Self::Cancel(job, epoch)),
            ["close", job, epoch, end] => {
                let (job, epoch) = migration(job, epoch)?;
                let end = Status::parse(end).filter(|end| end.is_terminal()).ok_or(Error::Inconsistent)?;
                Ok(Self::Close(job, epoch, end))
            }
            _ => Err(Error::Inconsistent),
        }
    }
}

/// Where the messages of a worker go; what does not fit is dropped, since heartbeats bring it too.
pub type ControlSender = mpsc::Sender<Control>;

/// How long Redis keeps an order: a worker that could ask neither store for so long has no child any more.
const KEPT_SECS: u64 = 600;

impl Control {
    /// The migration that it is about.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Look => None,
            Self::Cancel(job, _) | Self::Close(job, _, _) => Some(*job),
        }
    }
}

impl Queue {
    pub(super) fn control_channel(&self, backend: BackendId) -> String {
        format!("{}ctl:{backend}", self.prefix())
    }

    fn orders_key(&self, backend: BackendId) -> String {
        format!("{}orders:{backend}", self.prefix())
    }

    /// The orders about migrations that were sent to this worker lately, also those whose message was lost.
    pub async fn kept_orders(&self, backend: BackendId) -> Result<Vec<Control>> {
        let mut connection = self.connection()?;
        let mut command = redis::cmd("HVALS");
        command.arg(self.orders_key(backend));
        let texts: Vec<String> = tokio::time::timeout(self.deadline(), command.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }

    /// Drops orders that nothing is left to do about.
    pub async fn forget_orders(&self, backend: BackendId, jobs: &[JobId]) -> Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        let mut connection = self.connection()?;
        let mut command = redis::cmd("HDEL");
        command.arg(self.orders_key(backend)).arg(jobs.iter().map(JobId::to_string).collect::<Vec<_>>());
        tokio::time::timeout(self.deadline(), command.exec_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        Ok(())
    }

    /// Sends messages to workers. Nobody may listen: that is no error.
    pub async fn send_control(&self, messages: &[(BackendId, Control)]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for (backend, message) in messages {
            if let Some(job) = message.job() {
                let key = self.orders_key(*backend);
                pipe.cmd("HSET").arg(&key).arg(job.to_string()).arg(message.to_string()).ignore();
                pipe.cmd("EXPIRE").arg(&key).arg(KEPT_SECS).ignore();
            }
            pipe.cmd("PUBLISH").arg(self.control_channel(*backend)).arg(message.to_string()).ignore();
        }
        let mut connection = self.connection()?;
        tokio::time::timeout(self.deadline(), pipe.exec_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_text() {
        let job: JobId = "1:23".parse().unwrap();
        let closed = Control::Close(job, Epoch(5), Status::Success);
        for message in [Control::Look, Control::Cancel(job, Epoch(4)), closed] {
            assert_eq!(message.to_string().parse::<Control>().unwrap(), message);
        }
        for bad in ["", "cancel", "cancel 1 2", "close 1:2", "close 1:2 3", "close 1:2 3 SYNC", "look 1"] {
            assert!(bad.parse::<Control>().is_err(), "{bad}");
        }
    }
}
