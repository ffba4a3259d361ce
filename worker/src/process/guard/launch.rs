//! `dmf-guard exec-child`: the process that becomes the child. It lowers its privileges, ties its life to the
//! guard's and runs the program in its own place.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        prctl::set_pdeathsig,
        signal::{SigSet, Signal},
        stat::{Mode, fchmod},
    },
    unistd::{
        Gid, Uid, Whence, chdir, dup2_stdin, fchown, getegid, geteuid, getppid, lseek, setgroups, setresgid,
        setresuid,
    },
};
use secrecy::ExposeSecret;

use super::control::Link;
use crate::process::{
    exit::LaunchStep,
    message::{ChildSpec, Launch, LaunchFailure},
    procfs,
    spec::RunAs,
};

/// How long the description of the child may take to come from the guard.
const DESCRIPTION_LIMIT: Duration = Duration::from_secs(10);

/// Becomes the child. Comes back only when that failed and the guard, if it lives, has been told.
pub(super) fn run() {
    let Ok(mut guard) = Link::on_stdin() else { return };
    if let Err(Some(failure)) = launch(&mut guard) {
        // A guard that does not listen any more is dead.
        let _ = guard.send(&failure, &[]);
    }
}

/// Ends in an error, if at all; without one to tell when the guard is gone.
fn launch(guard: &mut Link) -> Result<(), Option<LaunchFailure>> {
    guard.limit_reads(DESCRIPTION_LIMIT).map_err(failed(LaunchStep::Describe))?;
    let received = guard.wait_for::<Launch>().map_err(failed(LaunchStep::Describe))?;
    // The socket on descriptor 0 gives way to the input, its copy closes when the program runs: that is how the
    // guard learns that it does.
    let Some((Launch { guard: parent, deadline, child }, frame)) = received else { return Err(None) };
    if let Some(user) = child.run_as {
        become_user(user).map_err(failed(LaunchStep::Privileges))?;
    }
    set_input(child.has_input.then(|| frame.payload())).map_err(failed(LaunchStep::Input))?;
    drop(frame);
    chdir(&child.cwd).map_err(failed(LaunchStep::Directory))?;
    // The guard's own mask has come along.
    SigSet::all().thread_unblock().map_err(failed(LaunchStep::Exec))?;
    // After the change of user, which would clear it.
    set_pdeathsig(Signal::SIGKILL).map_err(failed(LaunchStep::Privileges))?;
    if getppid().as_raw() != parent {
        return Err(None);
    }
    if deadline.has_passed() {
        return Err(Some(LaunchFailure::Expired));
    }
    Err(failed(LaunchStep::Exec)(command(&child, parent).exec()))
}

/// Turns a system's error into what the guard is told.
fn failed<E: Into<io::Error>>(step: LaunchStep) -> impl Fn(E) -> Option<LaunchFailure> {
    move |error| {
        // Errors of the standard library's own making, such as a NUL in an argument, carry no number.
        let errno = error.into().raw_os_error().unwrap_or(Errno::EINVAL as i32);
        Some(LaunchFailure::Failed { step, errno })
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the process that becomes the child")]
fn command(child: &ChildSpec, guard: i32) -> Command {
    let mut command = Command::new(&child.program);
    command.args(&child.args).env_clear();
    command.envs(child.env.iter().map(|variable| (&variable.name, variable.value.expose_secret())));
    // By this, whoever of its family left its session is found when the guard is lost.
    if let Some(stat) = procfs::stat(guard) {
        command.env(procfs::GUARD_VARIABLE, procfs::guard_mark(guard, stat.start_time));
    }
    command
}

/// Takes the user's and the group's numbers, with no other group, for good.
fn become_user(user: RunAs) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if uid == geteuid() && gid == getegid() {
        return Ok(());
    }
    // So that the program can open /dev/stdout and /dev/stderr.
    fchown(io::stdout().as_fd(), Some(uid), Some(gid))?;
    fchown(io::stderr().as_fd(), Some(uid), Some(gid))?;
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Puts the input, or `/dev/null`, on descriptor 0. Runs as the child's user, who so owns the file.
fn set_input(content: Option<&[u8]>) -> io::Result<()> {
    let input: OwnedFd = match content {
        None => File::open("/dev/null")?.into(),
        Some(content) => sealed_file(content)?,
    };
    Ok(dup2_stdin(input)?)
}

/// A file in memory that nobody can change any more, and that only its owner can open.
fn sealed_file(content: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create("input", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    lseek(&file, 0, Whence::SeekSet)?;
    fchmod(&file, Mode::S_IRUSR)?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}
