//! The child's family: its process group, and descendants that left the group.

use std::{
    io,
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill, killpg},
        signalfd::SignalFd,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{Pid, getpid},
};

use crate::process::procfs;

/// How long the family may take to die of SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);

/// A pause between two looks at those who still live; their ends cut it short.
const SWEEP_PAUSE_MS: u8 = 20;

/// A child that leads a process group, in a process that adopts the orphans among its descendants.
pub(super) struct Family {
    child: Child,
    leader: Pid,
}

/// What is left of a family after [`Family::kill`].
pub(super) enum Remains {
    /// Nobody; this is how the child ended.
    Nobody(ExitStatus),
    /// So many did not end in time.
    Survivors(usize),
}

impl Family {
    /// Starts a child in a group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let leader = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self { child, leader: Pid::from_raw(leader) })
    }

    /// The child's process id, which is also its group's.
    pub(super) fn leader(&self) -> i32 {
        self.leader.as_raw()
    }

    /// Sends a signal to the group.
    ///
    /// The child is not waited for before [`Self::kill`], so that the group's id cannot have been used again.
    pub(super) fn signal(&self, signal: Signal) {
        // Fails only where nobody is left to hear it.
        let _ = killpg(self.leader, signal);
    }

    /// Whether the child itself has ended. Leaves it as a zombie.
    pub(super) fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.leader), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => false,
            // EINVAL: ended by a real-time signal, for which nix has no name.
            Ok(_) | Err(_) => true,
        }
    }

    /// Waits for orphans that this process has adopted and that have ended.
    pub(super) fn reap_orphans(&self) {
        for pid in procfs::children(getpid().as_raw()) {
            if pid != self.leader.as_raw() {
                let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            }
        }
    }

    /// SIGKILLs the group and every descendant outside of it, and waits until all are gone.
    ///
    /// A group gets the signal as a whole, and whoever has it pending cannot fork; so once is enough. Who left the
    /// group is adopted by this process when its parent dies, and is found among the children.
    pub(super) fn kill(mut self, ends: &SignalFd) -> Remains {
        let until = Instant::now() + SWEEP_LIMIT;
        self.signal(Signal::SIGKILL);
        let mut status = None;
        loop {
            if status.is_none() {
                status = self.child.try_wait().ok().flatten();
            }
            if let Some(status) = status
                && !reap_any()
            {
                return Remains::Nobody(status);
            }
            if Instant::now() >= until {
                return Remains::Survivors(procfs::children(getpid().as_raw()).len());
            }
            for pid in procfs::children(getpid().as_raw()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            pause(ends);
        }
    }
}

/// Waits for all children that have ended. Tells whether any other is left.
fn reap_any() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return false,
            Ok(WaitStatus::StillAlive) => return true,
            // One was reaped, perhaps one that a real-time signal has ended (EINVAL).
            Ok(_) | Err(_) => {}
        }
    }
}

/// Sleeps until a child ends, but not for long.
fn pause(ends: &SignalFd) {
    let mut waiting = [PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut waiting, PollTimeout::from(SWEEP_PAUSE_MS));
    drain(ends);
}

/// Reads away what the signal descriptor holds.
pub(super) fn drain(ends: &SignalFd) {
    while let Ok(Some(_)) = ends.read_signal() {}
}
