//! The times of the lease protocol. Schedulers and workers must be given the same.

use std::time::Duration;

use super::Reader;

/// `dmf.lease.*`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Time between two heartbeats of a worker.
    pub heartbeat: Duration,
    /// How long a lease lives after the sending of a request that confirmed it: then its children are
    /// dead.
    pub deadline: Duration,
    /// How long a lease is seen silent in both stores before it is reaped.
    pub silence: Duration,
    /// A migration that was lost so often is a FAILURE: a reaper counts, and a worker that finds what the
    /// process before it held.
    pub max_losses: u32,
}

impl LeaseTimes {
    /// Reads `dmf.lease.heartbeat`, `.deadline`, `.silence` and `.max-losses`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let secs = Duration::from_secs;
        let heartbeat = reader.duration("dmf.lease.heartbeat", secs(10), secs(1)..=secs(60));
        let deadline = reader.duration("dmf.lease.deadline", secs(45), secs(3)..=secs(600));
        let silence = reader.duration("dmf.lease.silence", secs(60), secs(4)..=secs(3600));
        if deadline < heartbeat * 3 {
            reader.reject("dmf.lease.deadline", "must be at least three times dmf.lease.heartbeat");
        }
        // The last request may have been sent just before the deadline began to run.
        if silence < deadline + heartbeat {
            reader
                .reject("dmf.lease.silence", "must be at least dmf.lease.deadline plus dmf.lease.heartbeat");
        }
        let max_losses = reader.number("dmf.lease.max-losses", 3, 1..=100);
        Self { heartbeat, deadline, silence, max_losses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Sources};

    fn faults(text: &str) -> usize {
        let environment = Environment::from_variables([("", ""); 0]);
        let properties = Sources::default().load_text(text, environment).unwrap();
        let mut reader = Reader::new(&properties);
        LeaseTimes::read(&mut reader);
        reader.finish().err().map_or(0, |errors| errors.0.len())
    }

    #[test]
    fn times_are_checked_against_each_other() {
        assert_eq!(faults("dmf.lease.heartbeat: 10s"), 0);
        assert_eq!(faults("dmf.lease: {heartbeat: 1s, deadline: 5s, silence: 6s}"), 0);
        assert_eq!(faults("dmf.lease: {heartbeat: 20s, deadline: 45s, silence: 70s}"), 1);
        assert_eq!(faults("dmf.lease: {heartbeat: 10s, deadline: 55s}"), 1);
        assert_eq!(faults("dmf.lease: {heartbeat: 30s, deadline: 45s}"), 2);
    }
}
