//! Heartbeats of running jobs.

use redis::Value;

use super::{
    Error, Queue, Result, Running,
    propose::read,
    scripts::{Call, HEARTBEAT_JOBS},
};

impl Running {
    /// As the script takes it.
    pub(super) fn args(&self) -> [String; 5] {
        [
            self.job.to_string(),
            self.epoch.to_string(),
            self.host.to_string(),
            self.target.to_string(),
            u8::from(self.priority).to_string(),
        ]
    }
}

impl Queue {
    /// Says that these jobs run. The answer stands beside each in order: `true` confirms it, `false`
    /// says that a newer claim holds it. `Unreplicated`: none counts, because no replica has heard of them.
    pub async fn heartbeat(&self, running: &[Running]) -> Result<Vec<bool>> {
        if running.is_empty() {
            return Ok(Vec::new());
        }
        let answer = if self.replicated.is_off() {
            let mut call = Call::new(&HEARTBEAT_JOBS, self);
            for job in running {
                call.arg(&job.args());
            }
            call.run(self).await?
        } else {
            self.beat_replicated(running).await?
        };
        let Value::Array(answers) = answer else { return Err(Error::Inconsistent) };
        if answers.len() != running.len() {
            return Err(Error::Inconsistent);
        }
        answers.into_iter().map(|answer| read::<i64>(Some(answer)).map(|confirmed| confirmed == 1)).collect()
    }
}
