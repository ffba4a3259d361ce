//! Heartbeats of running jobs.

use redis::Value;

use super::{
    Error, Queue, Result, Running,
    propose::read,
    scripts::{Call, HEARTBEAT_JOBS},
};

impl Queue {
    /// Says that these jobs run. The answer stands beside each in order: `true` confirms it, `false`
    /// says that a newer claim holds it.
    pub async fn heartbeat(&self, running: &[Running]) -> Result<Vec<bool>> {
        if running.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = Call::new(&HEARTBEAT_JOBS, self);
        for job in running {
            call.arg(job.job.to_string())
                .arg(job.epoch.0)
                .arg(job.host.0)
                .arg(job.target.0)
                .arg(u8::from(job.priority));
        }
        let Value::Array(answers) = call.run(self).await? else { return Err(Error::Inconsistent) };
        if answers.len() != running.len() {
            return Err(Error::Inconsistent);
        }
        answers.into_iter().map(|answer| read::<i64>(Some(answer)).map(|confirmed| confirmed == 1)).collect()
    }
}
