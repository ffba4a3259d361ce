//! Settling: the end of a proposal or of a running job, whatever it is.

use std::time::Duration;

use super::{
    Queue, Result, Ticket,
    propose::read,
    scripts::{Call, SETTLE_JOBS},
};
use crate::domain::ids::{Epoch, JobId};

/// Where a settled job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Out of the queue, unless it was a proposal and its job was pushed as ready meanwhile.
    Drop,
    /// Back to its place.
    Ready,
    /// Back to its place; its host leaves the rings until something of that host changes.
    Blocked,
    /// Ready again after this time.
    Delay(Duration),
}

/// What holds a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// This proposal, until its visibility time is over.
    Proposal(Ticket),
    /// The claim of this epoch.
    Lease(Epoch),
}

/// One settlement.
#[derive(Debug, Clone, Copy)]
pub struct Settlement {
    /// The migration.
    pub job: JobId,
    /// What ends: this proposal, or the lease of this epoch and of any before it.
    pub hold: Hold,
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
            let (epoch, ticket) = match settlement.hold {
                Hold::Proposal(Ticket(ticket)) => (0, ticket),
                Hold::Lease(Epoch(epoch)) => (epoch, 0),
            };
            call.arg(settlement.job.to_string())
                .arg(epoch)
                .arg(ticket)
                .arg(how)
                .arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        read(Some(call.run(self).await?))
    }
}
