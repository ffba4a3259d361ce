//! State of a migration and the only place that knows how it may change.

use serde::{Deserialize, Serialize};

/// What a migration is for. `PRE_SYNC` copies while the user keeps working on the source,
/// `CUTOVER` copies the last changes while the user is locked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// As often as wanted; users keep working on the source.
    PreSync,
    /// The last delta.
    Cutover,
}

impl Phase {
    /// The name in the database and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PRE_SYNC",
            Self::Cutover => "CUTOVER",
        }
    }

    /// Reads the name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::PreSync, Self::Cutover].into_iter().find(|phase| phase.as_str() == text)
    }
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Waits for a worker.
    Scheduled,
    /// A worker has claimed it.
    Sync,
    /// Done.
    Success,
    /// Given up, with a reason in `details`.
    Failure,
    /// Ended by an operator.
    Aborted,
}

impl Status {
    const ALL: [Self; 5] = [Self::Scheduled, Self::Sync, Self::Success, Self::Failure, Self::Aborted];

    /// The name in the database and in answers of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Sync => "SYNC",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Aborted => "ABORTED",
        }
    }

    /// Reads the name as the database writes it; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Terminal rows never change.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Aborted)
    }
}

/// What can happen to a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A worker claims it.
    Claim,
    /// Its worker finished it with this result (a terminal status).
    Finish(Status),
    /// Its worker is lost or hands it back.
    HandBack,
    /// Lost too often, or handed back for too long.
    GiveUp,
    /// An operator asked for its end; a running one ends when its child is dead.
    Cancel,
    /// An operator closes it at once with this end state (a terminal status).
    Close(Status),
}

/// The event is impossible in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is impossible for a migration in {status:?}")]
pub struct Refused {
    /// The state it was in.
    pub status: Status,
    /// What was refused.
    pub event: Event,
}

/// The state after `event`. `cancel_requested` turns a return to the queue into `ABORTED`.
pub fn transition(status: Status, event: Event, cancel_requested: bool) -> Result<Status, Refused> {
    use Status::{Aborted, Failure, Scheduled, Sync};
    match (status, event) {
        // A cancelled row stays SYNC until its child is dead; the flag beside it says what then.
        (Scheduled, Event::Claim) | (Sync, Event::Cancel) => Ok(Sync),
        (Sync, Event::Finish(end)) | (Scheduled | Sync, Event::Close(end)) if end.is_terminal() => Ok(end),
        (Sync, Event::HandBack) => Ok(if cancel_requested { Aborted } else { Scheduled }),
        (Sync, Event::GiveUp) => Ok(if cancel_requested { Aborted } else { Failure }),
        (Scheduled, Event::Cancel) => Ok(Aborted),
        _ => Err(Refused { status, event }),
    }
}

/// What is known of a running migration whose worker was lost.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// How often a worker was lost with it, this time included.
    pub losses: u32,
    /// After so many it is given up.
    pub max_losses: u32,
    /// An operator asked for its end.
    pub cancel_requested: bool,
    /// Its pre command may have had its effect.
    pub pre_started: bool,
    /// The failure command alone was to run, before this end state.
    pub cleanup: Option<Status>,
}

/// Where a migration goes whose lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Its status.
    pub status: Status,
    /// If set, its next claim runs the failure command alone, and then it gets this end state.
    pub cleanup: Option<Status>,
}

/// Where a lost migration goes: back into the queue, or to its end. Nobody stays locked out: when its pre
/// command had started, a worker runs the failure command before the end; a cleanup that is lost as often
/// again is given up, too.
pub fn after_loss(loss: Loss) -> Next {
    if let Some(end) = loss.cleanup {
        // The commit that decided on a failure came first, but the cancel was answered.
        let end = if loss.cancel_requested { Status::Aborted } else { end };
        let given_up = loss.losses >= loss.max_losses.saturating_mul(2);
        return if given_up {
            Next { status: end, cleanup: None }
        } else {
            Next { status: Status::Scheduled, cleanup: Some(end) }
        };
    }
    let event = if loss.losses >= loss.max_losses { Event::GiveUp } else { Event::HandBack };
    // A running migration accepts both events.
    let end = transition(Status::Sync, event, loss.cancel_requested).unwrap_or(Status::Failure);
    if end.is_terminal() && loss.pre_started {
        Next { status: Status::Scheduled, cleanup: Some(end) }
    } else {
        Next { status: end, cleanup: None }
    }
}

/// What is known of a running migration whose worker reports its result.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// The result: a terminal status. Where the pre command had started and this is no success, the failure
    /// command has run.
    pub end: Status,
    /// An operator asked for its end, and was told that it would come.
    pub cancel_requested: bool,
    /// Its pre command may have had its effect.
    pub pre_started: bool,
    /// Its post command may have had its effect: after a success, it had.
    pub post_started: bool,
}

/// Where a migration goes whose worker reports its result. The first commit wins: an answered cancel makes it
/// ABORTED, unless the post command has let the user in on the target. Nobody stays locked out: when the pre
/// command had started, a worker runs the failure command before that end.
pub fn after_report(report: Report) -> Next {
    let plain = |status| Next { status, cleanup: None };
    match report.end {
        end if !report.cancel_requested => plain(end),
        Status::Success if report.post_started => plain(Status::Success),
        Status::Success if report.pre_started => {
            Next { status: Status::Scheduled, cleanup: Some(Status::Aborted) }
        }
        _ => plain(Status::Aborted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 8] = [
        Event::Claim,
        Event::Finish(Status::Success),
        Event::Finish(Status::Failure),
        Event::HandBack,
        Event::GiveUp,
        Event::Cancel,
        Event::Close(Status::Aborted),
        Event::Close(Status::Success),
    ];

    #[test]
    fn terminal_rows_never_change() {
        for status in [Status::Success, Status::Failure, Status::Aborted] {
            for event in EVENTS {
                assert_eq!(transition(status, event, false), Err(Refused { status, event }));
            }
        }
    }

    #[test]
    fn a_cancelled_migration_never_runs_again() {
        for event in EVENTS {
            let next = transition(Status::Sync, event, true);
            assert_ne!(next, Ok(Status::Scheduled), "{event:?}");
        }
    }

    #[test]
    fn only_a_waiting_migration_is_claimed_and_only_a_running_one_finishes() {
        assert_eq!(transition(Status::Scheduled, Event::Claim, false), Ok(Status::Sync));
        assert!(transition(Status::Sync, Event::Claim, false).is_err());
        assert!(transition(Status::Scheduled, Event::Finish(Status::Success), false).is_err());
        assert!(transition(Status::Sync, Event::Finish(Status::Scheduled), false).is_err());
        assert_eq!(transition(Status::Sync, Event::HandBack, false), Ok(Status::Scheduled));
    }

    #[test]
    fn a_lost_migration_waits_again_until_it_is_given_up() {
        let loss =
            Loss { losses: 1, max_losses: 3, cancel_requested: false, pre_started: false, cleanup: None };
        let plain = |status| Next { status, cleanup: None };
        assert_eq!(after_loss(loss), plain(Status::Scheduled));
        assert_eq!(after_loss(Loss { losses: 3, ..loss }), plain(Status::Failure));
        assert_eq!(after_loss(Loss { cancel_requested: true, ..loss }), plain(Status::Aborted));
    }

    #[test]
    fn nobody_stays_locked_out_after_a_pre_command() {
        let loss =
            Loss { losses: 3, max_losses: 3, cancel_requested: false, pre_started: true, cleanup: None };
        let cleanup = |end| Next { status: Status::Scheduled, cleanup: Some(end) };
        assert_eq!(after_loss(loss), cleanup(Status::Failure));
        assert_eq!(after_loss(Loss { losses: 1, cancel_requested: true, ..loss }), cleanup(Status::Aborted));
        let lost_again = Loss { losses: 4, cleanup: Some(Status::Failure), ..loss };
        assert_eq!(after_loss(lost_again), cleanup(Status::Failure));
        let given_up = after_loss(Loss { losses: 6, ..lost_again });
        assert_eq!(given_up, Next { status: Status::Failure, cleanup: None });
    }

    #[test]
    fn an_answered_cancel_beats_a_result() {
        let report =
            Report { end: Status::Success, cancel_requested: true, pre_started: false, post_started: false };
        let plain = |status| Next { status, cleanup: None };
        assert_eq!(after_report(report), plain(Status::Aborted));
        assert_eq!(after_report(Report { end: Status::Failure, ..report }), plain(Status::Aborted));
        assert_eq!(after_report(Report { cancel_requested: false, ..report }), plain(Status::Success));
        let unlock = Next { status: Status::Scheduled, cleanup: Some(Status::Aborted) };
        let locked_out = Report { pre_started: true, ..report };
        assert_eq!(after_report(locked_out), unlock);
        // Its failure command has run.
        assert_eq!(after_report(Report { end: Status::Failure, ..locked_out }), plain(Status::Aborted));
        let let_in = Report { post_started: true, ..locked_out };
        assert_eq!(after_report(let_in), plain(Status::Success));
        assert_eq!(after_report(Report { end: Status::Failure, ..let_in }), plain(Status::Aborted));
    }

    #[test]
    fn a_cancelled_cleanup_that_is_given_up_is_aborted() {
        let lost = Loss {
            losses: 6,
            max_losses: 3,
            cancel_requested: true,
            pre_started: true,
            cleanup: Some(Status::Failure),
        };
        assert_eq!(after_loss(lost), Next { status: Status::Aborted, cleanup: None });
    }

    #[test]
    fn names_are_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for phase in [Phase::PreSync, Phase::Cutover] {
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
        assert_eq!(Status::parse("sync"), None);
    }
}
