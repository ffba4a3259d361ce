//! How far running migrations have come: written by workers every second, read by the API when it can.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Error, Queue, Result,
    propose::read,
    scripts::{Call, REPORT_PROGRESS},
};
use crate::domain::ids::{Epoch, JobId};

/// How long a report stays when no other follows.
const STAYS: Duration = Duration::from_secs(10);

/// How far one running migration has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The claim that it is said of.
    pub epoch: Epoch,
    /// The step that runs, as `details` names it.
    pub step: String,
    /// The mailbox of the last mail, once there was one.
    pub mailbox: Option<String>,
    /// Mails saved so far, over all runs.
    pub saved: u64,
    /// Mails expunged so far.
    pub expunged: u64,
}

impl Queue {
    /// Replaces what `worker` (`target/name`) said before; no jobs take it back. One script.
    pub async fn report_progress(&self, worker: &str, jobs: &[(JobId, Progress)]) -> Result<()> {
        let mut call = Call::new(&REPORT_PROGRESS, self);
        call.arg(worker).arg(u64::try_from(STAYS.as_millis()).unwrap_or(u64::MAX));
        for (job, progress) in jobs {
            let text = serde_json::to_string(progress).map_err(|_| Error::Inconsistent)?;
            call.arg(job.to_string()).arg(text);
        }
        call.run(self).await.map(drop)
    }

    /// What `worker` says of these jobs; `None` where it says nothing that can be read. One round trip.
    pub async fn progress(&self, worker: &str, jobs: &[JobId]) -> Result<Vec<Option<Progress>>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = redis::cmd("HMGET");
        get.arg(format!("{}progress:{worker}", self.prefix()));
        for job in jobs {
            get.arg(job.to_string());
        }
        let mut connection = self.connection()?;
        let answer: redis::Value = tokio::time::timeout(self.deadline(), get.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        let texts: Vec<Option<String>> = read(Some(answer))?;
        Ok(texts.into_iter().map(|text| serde_json::from_str(&text?).ok()).collect())
    }
}
