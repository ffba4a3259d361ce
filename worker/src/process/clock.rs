//! The clock of leases: `CLOCK_BOOTTIME`, which also counts while the machine is suspended and which nobody sets.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Time since the machine was booted, time asleep included.
///
/// A kernel without this clock gives the end of time: every lease counts as lost, rather than none.
pub fn boottime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// A moment on `CLOCK_BOOTTIME`. Holds in every process of this machine until its next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deadline(Duration);

impl Deadline {
    /// A moment that has always passed: the deadline of a lost lease.
    pub const PAST: Self = Self(Duration::ZERO);

    /// The moment `since_boot` after the boot, as [`boottime`] tells it.
    pub fn at(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The moment that is `span` from now.
    pub fn after(span: Duration) -> Self {
        Self(boottime().saturating_add(span))
    }

    /// The moment, as time since boot.
    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// How long it is until then; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_sub(boottime())
    }

    /// Whether the moment is now or was before.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}

/// The heartbeat's end of a lease: moves the deadline.
#[derive(Debug)]
pub struct LeaseHandle(watch::Sender<Deadline>);

impl LeaseHandle {
    /// Moves the deadline, forwards only. A lease that is lost stays lost.
    pub fn extend(&self, deadline: Deadline) {
        self.0.send_if_modified(|current| {
            let moves = !current.has_passed() && deadline > *current;
            if moves {
                *current = deadline;
            }
            moves
        });
    }

    /// Declares the lease lost: whatever runs under it is killed at once.
    pub fn lose(&self) {
        self.0.send_replace(Deadline::PAST);
    }
}

/// The runner's end of a lease: the deadline that all children under the lease obey. Clone one for each child.
#[derive(Clone, Debug)]
pub struct LeaseClock {
    deadlines: watch::Receiver<Deadline>,
    told: Deadline,
    abandoned: bool,
}

/// What happens to a lease next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseEvent {
    /// A heartbeat was confirmed.
    Extended(Deadline),
    /// The deadline passed, or the lease was declared lost.
    Lost,
}

impl LeaseClock {
    /// A lease that holds until `first` unless it is extended. When the handle is dropped nothing extends it any
    /// more.
    pub fn channel(first: Deadline) -> (LeaseHandle, Self) {
        let (sender, deadlines) = watch::channel(first);
        (LeaseHandle(sender), Self { deadlines, told: first, abandoned: false })
    }

    /// The deadline as of now.
    pub fn deadline(&self) -> Deadline {
        *self.deadlines.borrow()
    }

    /// Whether the lease is over.
    pub fn is_lost(&self) -> bool {
        self.deadline().has_passed()
    }

    /// The deadline as of now, and the point from which [`Self::next_event`] tells of extensions.
    pub(super) fn begin(&mut self) -> Deadline {
        self.told = *self.deadlines.borrow_and_update();
        self.told
    }

    /// Waits for an extension or the loss. Cancel safe; ends at the deadline at the latest.
    pub(super) async fn next_event(&mut self) -> LeaseEvent {
        loop {
            let deadline = *self.deadlines.borrow_and_update();
            let remaining = deadline.remaining();
            if remaining.is_zero() {
                return LeaseEvent::Lost;
            }
            if deadline != self.told {
                self.told = deadline;
                return LeaseEvent::Extended(deadline);
            }
            tokio::select! {
                change = self.deadlines.changed(), if !self.abandoned => self.abandoned = change.is_err(),
                () = tokio::time::sleep(remaining) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes() {
        assert!(Deadline::PAST.has_passed());
        assert!(Deadline::at(boottime()).has_passed());
        assert!(!Deadline::after(Duration::from_hours(1)).has_passed());
        assert!(!Deadline::after(Duration::MAX).has_passed());
    }

    #[test]
    fn extensions_only_go_forward_and_a_lost_lease_stays_lost() {
        let first = Deadline::after(Duration::from_secs(100));
        let (handle, clock) = LeaseClock::channel(first);
        handle.extend(Deadline::after(Duration::from_secs(50)));
        assert_eq!(clock.deadline(), first);
        let later = Deadline::after(Duration::from_secs(200));
        handle.extend(later);
        assert_eq!(clock.deadline(), later);
        handle.lose();
        handle.extend(Deadline::after(Duration::from_mins(5)));
        assert!(clock.is_lost());
    }

    #[tokio::test]
    async fn tells_extensions_and_the_loss() {
        let (handle, mut clock) = LeaseClock::channel(Deadline::after(Duration::from_secs(100)));
        clock.begin();
        let later = Deadline::after(Duration::from_secs(200));
        handle.extend(later);
        assert_eq!(clock.next_event().await, LeaseEvent::Extended(later));
        handle.lose();
        assert_eq!(clock.next_event().await, LeaseEvent::Lost);
    }

    #[tokio::test]
    async fn an_abandoned_lease_runs_out() {
        let (handle, mut clock) = LeaseClock::channel(Deadline::after(Duration::from_millis(20)));
        clock.begin();
        drop(handle);
        assert_eq!(clock.next_event().await, LeaseEvent::Lost);
    }
}
