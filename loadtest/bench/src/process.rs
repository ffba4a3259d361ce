//! What a running process takes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dmf_e2e::Daemon;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procfs::process::Process;

/// Memory and descriptors of a process at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Resident memory.
    pub(crate) resident_bytes: u64,
    /// The most that was resident since the start.
    pub(crate) peak_bytes: u64,
    /// Open file descriptors.
    pub(crate) descriptors: u64,
}

/// What a scheduler or worker takes now.
pub(crate) fn look_at(daemon: &Daemon) -> Result<Taken> {
    let pid = daemon.pid().with_context(|| format!("{} does not run", daemon.name()))?;
    of(pid).with_context(|| daemon.name().to_owned())
}

fn of(pid: i32) -> Result<Taken> {
    let process = Process::new(pid)?;
    let status = process.status()?;
    // The kernel counts in KiB.
    let bytes = |kib: Option<u64>| kib.map(|kib| kib * 1024).context("a process has memory");
    Ok(Taken {
        resident_bytes: bytes(status.vmrss)?,
        peak_bytes: bytes(status.vmhwm)?,
        descriptors: process.fd_count()? as u64,
    })
}

/// Processor time of a process, threads that have ended included; none of a process that is gone.
pub(crate) fn busy(process: u32) -> Duration {
    let Ok(process) = i32::try_from(process) else { return Duration::ZERO };
    let clock = clock_getcpuclockid(Pid::from_raw(process)).and_then(clock_gettime);
    clock.map_or(Duration::ZERO, Duration::from)
}

/// Millions of bytes.
#[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = of(own).unwrap();
        // More than tests beside this one may close meanwhile.
        let more: Vec<_> = (0..40).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let after = of(own).unwrap();
        drop(more);
        assert!(before.resident_bytes > 100_000 && before.peak_bytes >= before.resident_bytes, "{before:?}");
        assert!(after.descriptors > before.descriptors, "{before:?} {after:?}");
    }

    #[test]
    fn processor_time_of_a_process_grows_with_its_work() {
        let own = std::process::id();
        let before = busy(own);
        let mut sum = 0_u64;
        for n in 0..2_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
        assert!(busy(own) > before, "{sum}");
        assert_eq!(busy(u32::MAX), Duration::ZERO);
    }
}
