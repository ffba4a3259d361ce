//! What the schedulers take while they are under load.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmf_e2e::Daemon;
use dmf_lab::poll_until;

use crate::process::{self, Taken, megabytes};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long connections that nobody uses any more may live.
const CLOSING: Duration = Duration::from_mins(1);
/// How many more file descriptors than before the load may be open behind it: connections of a pool come and go.
pub(super) const MORE_DESCRIPTORS: u64 = 10;

/// A look at one scheduler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Since the begin of the load.
    pub(super) secs: f64,
    pub(super) taken: Taken,
}

impl Seen {
    /// Resident memory, in millions of bytes.
    pub(super) fn megabytes(&self) -> f64 {
        megabytes(self.taken.resident_bytes)
    }

    /// Open file descriptors.
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    pub(super) fn descriptors(&self) -> f64 {
        self.taken.descriptors as f64
    }
}

/// Looks at these processes each second for as long as `load` runs.
pub(super) async fn watch<T>(
    daemons: &[Daemon],
    load: impl Future<Output = Result<T>>,
) -> Result<(T, Vec<Vec<Seen>>)> {
    let begun = Instant::now();
    let mut seen: Vec<Vec<Seen>> = daemons.iter().map(|_| Vec::new()).collect();
    let mut ticks = tokio::time::interval(LOOK);
    tokio::pin!(load);
    loop {
        tokio::select! {
            done = &mut load => return Ok((done?, seen)),
            _ = ticks.tick() => {
                let secs = begun.elapsed().as_secs_f64();
                for (daemon, seen) in daemons.iter().zip(&mut seen) {
                    seen.push(Seen { secs, taken: process::look_at(daemon)? });
                }
            }
        }
    }
}

/// Waits until the descriptors that the load took are closed, and gives how many are left; more than there may be if
/// they stay.
pub(super) async fn descriptors_behind(daemon: &Daemon, before: u64) -> Result<u64> {
    let mut last = before;
    let closed = poll_until("descriptors stayed open", CLOSING, async || {
        match process::look_at(daemon) {
            Ok(taken) => last = taken.descriptors,
            Err(error) => return Err(format!("{error:#}")),
        }
        if last <= before + MORE_DESCRIPTORS { Ok(()) } else { Err(format!("{last} are open")) }
    });
    match closed.await {
        Ok(()) | Err(dmf_lab::Error::Deadline { .. }) => Ok(last),
        Err(error) => Err(error.into()),
    }
}

/// How memory grew: its median in the second quarter of the looks, when everything is warm, and in the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    pub(super) warm: f64,
    pub(super) last: f64,
}

impl Growth {
    /// Of resident memory, in millions of bytes.
    pub(super) fn of_memory(seen: &[Seen]) -> Result<Self> {
        Self::of(&seen.iter().map(Seen::megabytes).collect::<Vec<_>>())
    }

    fn of(values: &[f64]) -> Result<Self> {
        let quarter = values.len() / 4;
        let (warm, last) = (&values[quarter..2 * quarter], &values[values.len() - quarter..]);
        Ok(Self { warm: median(warm).context(FEW)?, last: median(last).context(FEW)? })
    }

    /// Last over warm.
    pub(super) fn factor(self) -> f64 {
        self.last / self.warm
    }
}

const FEW: &str = "there are too few looks";

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_leaves_the_warming_up_out() {
        let values = [1.0, 5.0, 20.0, 20.0, 21.0, 25.0, 22.0, 24.0];
        assert_eq!(Growth::of(&values).unwrap(), Growth { warm: 20.0, last: 22.0 });
        assert!((Growth::of(&values).unwrap().factor() - 1.1).abs() < 1e-9);
    }

    #[test]
    fn a_few_looks_tell_nothing() {
        assert!(Growth::of(&[1.0, 2.0, 3.0]).is_err());
        assert!(Growth::of(&[]).is_err());
    }
}
