//! `dmf.worker.policy`: what follows from the outcomes of a sync, where it is not to be the usual.

use std::collections::BTreeMap;

use dmf_shared::{
    config::Reader,
    domain::outcome::{Outcome, Policy},
};

/// The policies that were set; an outcome without one follows what the judge says.
#[derive(Debug, Clone, Default)]
pub struct PolicySettings(BTreeMap<Outcome, Policy>);

impl PolicySettings {
    /// What was set for this outcome.
    pub fn of(&self, outcome: Outcome) -> Option<Policy> {
        self.0.get(&outcome).copied()
    }

    /// Reads `dmf.worker.policy.<outcome>` of every outcome but success.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let outcomes = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Success);
        let read = |outcome: Outcome| {
            let key = format!("dmf.worker.policy.{outcome}");
            let choices: Vec<_> = Policy::ALL
                .into_iter()
                .filter(|policy| is_allowed(outcome, *policy))
                .map(|policy| (policy.as_str(), Some(policy)))
                .collect();
            Some((outcome, reader.choice(&key, &choices, None)?))
        };
        Self(outcomes.filter_map(read).collect())
    }
}

/// Each further run of a diverged mailbox destroys more of it. Only a run that copied all there was may be
/// taken as it is.
fn is_allowed(outcome: Outcome, policy: Policy) -> bool {
    match outcome {
        Outcome::Diverged => matches!(policy, Policy::FailUser | Policy::SuspendHost),
        Outcome::Changed => true,
        _ => policy != Policy::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverged_mailbox_is_never_run_again_and_only_changes_are_accepted() {
        for policy in
            [Policy::Retry, Policy::RetryOnce, Policy::Rerun, Policy::BackOffHost, Policy::LeaveWorker]
        {
            assert!(!is_allowed(Outcome::Diverged, policy), "{policy}");
            assert!(is_allowed(Outcome::Quota, policy), "{policy}");
        }
        assert!(is_allowed(Outcome::Changed, Policy::Accept));
        assert!(!is_allowed(Outcome::Temporary, Policy::Accept));
    }
}
