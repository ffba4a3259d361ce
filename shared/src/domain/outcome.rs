//! What became of a doveadm run, and what follows from it by default.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::migration::Phase;

/// The class of a run's end, told from signal, exit code and output together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All was copied or counted.
    Success,
    /// Mailboxes changed while they were synced, or a name that the storage refuses: another run may settle it.
    Changed,
    /// The source refuses the credentials.
    Authentication,
    /// The source's limit of connections or of traffic.
    Limited,
    /// No connection to the source, or none that got through its login.
    Unreachable,
    /// A trouble that is likely to pass.
    Temporary,
    /// A mailbox disappeared while it was synced.
    Vanished,
    /// The target has what the source has not and can't be made equal; another run destroys more.
    Diverged,
    /// The user does not exist on the target.
    TargetUser,
    /// The user's quota on the target.
    Quota,
    /// Disk, permissions or I/O of this backend.
    Backend,
    /// The command or the configuration can't work.
    Configuration,
    /// Ended by a signal.
    Killed,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 13] = [
        Self::Success,
        Self::Changed,
        Self::Authentication,
        Self::Limited,
        Self::Unreachable,
        Self::Temporary,
        Self::Vanished,
        Self::Diverged,
        Self::TargetUser,
        Self::Quota,
        Self::Backend,
        Self::Configuration,
        Self::Killed,
    ];

    /// The name in `details`, metrics and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Changed => "changed",
            Self::Authentication => "authentication",
            Self::Limited => "limited",
            Self::Unreachable => "unreachable",
            Self::Temporary => "temporary",
            Self::Vanished => "vanished",
            Self::Diverged => "diverged",
            Self::TargetUser => "target-user",
            Self::Quota => "quota",
            Self::Backend => "backend",
            Self::Configuration => "configuration",
            Self::Killed => "killed",
        }
    }

    /// What follows by default. `Configuration` is [`Policy::SuspendHost`] where the command itself is at
    /// fault, which only the judge can tell; `Killed` is retried unless we killed it ourselves.
    pub const fn default_policy(self) -> Policy {
        match self {
            Self::Success => Policy::Accept,
            Self::Changed => Policy::Rerun,
            Self::Limited => Policy::BackOffHost,
            Self::Unreachable | Self::Temporary | Self::Killed => Policy::Retry,
            Self::Vanished => Policy::RetryOnce,
            Self::Authentication | Self::Diverged | Self::TargetUser | Self::Quota | Self::Configuration => {
                Policy::FailUser
            }
            Self::Backend => Policy::LeaveWorker,
        }
    }

    /// Whether it is a success when nothing more is tried: a `PRE_SYNC` may end with mailboxes still changing.
    pub const fn is_accepted_at_end(self, phase: Phase) -> bool {
        matches!((self, phase), (Self::Success, _) | (Self::Changed, Phase::PreSync))
    }

    /// Whether it speaks against the source host, so that many of them in a row suspend it.
    pub const fn counts_against_host(self, master_user: bool) -> bool {
        matches!(self, Self::Unreachable) || (master_user && matches!(self, Self::Authentication))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no outcome or policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown name; there are: {0}")]
pub struct UnknownName(String);

impl FromStr for Outcome {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| UnknownName(Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What is done after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Go on with the next step.
    Accept,
    /// Run again at once, at most twice.
    Rerun,
    /// Try again as the retry settings say.
    Retry,
    /// Try again a single time.
    RetryOnce,
    /// Hand the migration back and let the source host rest.
    BackOffHost,
    /// Hand the migration back for another worker; this one leases nothing for a time and is DOWN in health.
    LeaveWorker,
    /// The migration fails.
    FailUser,
    /// The migration fails, and the source host is suspended, because all its users would fail alike.
    SuspendHost,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 8] = [
        Self::Accept,
        Self::Rerun,
        Self::Retry,
        Self::RetryOnce,
        Self::BackOffHost,
        Self::LeaveWorker,
        Self::FailUser,
        Self::SuspendHost,
    ];

    /// The name in `details` and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Rerun => "rerun",
            Self::Retry => "retry",
            Self::RetryOnce => "retry-once",
            Self::BackOffHost => "back-off-host",
            Self::LeaveWorker => "leave-worker",
            Self::FailUser => "fail-user",
            Self::SuspendHost => "suspend-host",
        }
    }

    /// How many further runs it allows in this lease: `None` for as many as the retry settings allow.
    pub const fn further_runs(self) -> Option<u32> {
        match self {
            Self::Rerun => Some(2),
            Self::Retry => None,
            Self::RetryOnce => Some(1),
            _ => Some(0),
        }
    }

    /// Whether the migration goes back to the queue instead of ending.
    pub const fn hands_back(self) -> bool {
        matches!(self, Self::BackOffHost | Self::LeaveWorker)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| UnknownName(Self::ALL.map(Self::as_str).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.to_string());
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        for policy in Policy::ALL {
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.to_string());
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        assert!("Success".parse::<Outcome>().is_err());
    }

    #[test]
    fn a_diverged_target_and_a_wrong_password_are_never_tried_again() {
        for outcome in [Outcome::Diverged, Outcome::Authentication, Outcome::TargetUser] {
            assert_eq!(outcome.default_policy().further_runs(), Some(0));
            assert!(!outcome.default_policy().hands_back());
        }
    }

    #[test]
    fn a_cutover_needs_a_clean_run() {
        assert!(Outcome::Changed.is_accepted_at_end(Phase::PreSync));
        assert!(!Outcome::Changed.is_accepted_at_end(Phase::Cutover));
        assert!(Outcome::Success.is_accepted_at_end(Phase::Cutover));
    }

    #[test]
    fn wrong_credentials_speak_against_the_host_only_with_a_master_user() {
        assert!(Outcome::Authentication.counts_against_host(true));
        assert!(!Outcome::Authentication.counts_against_host(false));
        assert!(Outcome::Unreachable.counts_against_host(false));
    }
}
