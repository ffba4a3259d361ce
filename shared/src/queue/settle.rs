//! Settling: the end of a proposal or of a running job, whatever it is.

use std::time::Duration;

use super::{
    Queue, Result,
    propose::read,
    scripts::{Call, SETTLE_JOBS},
};
use crate::domain::ids::{Epoch, JobId};

/// Where a settled job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Out of the queue.
    Drop,
    /// Back to its place.
    Ready,
    /// Back to its place; its host leaves the rings until something of that host changes.
    Blocked,
    /// Ready again after this time.
    Delay(Duration),
}

/// One settlement.
#[derive(Debug, Clone, Copy)]
pub struct Settlement {
    /// The migration.
    pub job: JobId,
    /// The epoch of its claim, or `None` for a proposal that was not claimed.
    pub epoch: Option<Epoch>,
    /// Where it goes.
    pub then: Then,
}

impl Queue {
    /// Frees the slots of these jobs, unless a newer holder has them. Idempotent. Gives the number
    /// of slots that were freed.
    pub async fn settle(&self, settlements: &[Settlement]) -> Result<u64> {
        if settlements.is_empty() {
            return Ok(0);
        }
        let mut call = Call::new(&SETTLE_JOBS, self);
        for settlement in settlements {
            let (how, wait) = match settlement.then {
                Then::Drop => ("drop", Duration::ZERO),
                Then::Ready => ("ready", Duration::ZERO),
                Then::Blocked => ("blocked", Duration::ZERO),
                Then::Delay(wait) => ("delay", wait),
            };
            call.arg(settlement.job.to_string())
                .arg(settlement.epoch.map_or(0, |epoch| epoch.0))
                .arg(how)
                .arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        read(Some(call.run(self).await?))
    }
}
