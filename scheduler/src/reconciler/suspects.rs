//! What may be stuck: remembered for as long as it does not change.

use std::{collections::HashMap, time::Duration};

use dmf_shared::{domain::ids::JobId, queue::Hold};
use tokio::time::Instant;

/// What holds slots, and since when it is seen to.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    since: HashMap<(JobId, Hold), Instant>,
}

impl Suspects {
    /// Takes a look at what there is, and gives what two looks or more saw for as long as `limit`.
    pub(super) fn look(
        &mut self,
        seen: impl Iterator<Item = (JobId, Hold)>,
        now: Instant,
        limit: Duration,
    ) -> Vec<(JobId, Hold)> {
        let before = std::mem::take(&mut self.since);
        self.since = seen.map(|what| (what, before.get(&what).copied().unwrap_or(now))).collect();
        let stuck = self.since.iter().filter(|(_, since)| now.duration_since(**since) >= limit);
        stuck.map(|(what, _)| *what).collect()
    }
}

#[cfg(test)]
mod tests {
    use dmf_shared::queue::Ticket;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    fn proposal(ticket: u64) -> (JobId, Hold) {
        ("1:1".parse().unwrap(), Hold::Proposal(Ticket(ticket)))
    }

    #[test]
    fn what_stands_unchanged_for_long_enough_is_stuck() {
        let (mut suspects, start) = (Suspects::default(), Instant::now());
        let mut look = |what: Option<(JobId, Hold)>, secs: u64| {
            suspects.look(what.into_iter(), start + Duration::from_secs(secs), LIMIT)
        };
        assert!(look(Some(proposal(1)), 0).is_empty());
        assert!(look(Some(proposal(1)), 59).is_empty());
        assert!(look(Some(proposal(2)), 60).is_empty(), "another proposal of the same job");
        assert!(look(None, 80).is_empty());
        assert!(look(Some(proposal(2)), 120).is_empty(), "it was gone in between");
        assert_eq!(look(Some(proposal(2)), 180), [proposal(2)]);
    }
}
