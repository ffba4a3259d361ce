//! The guard's loop: it waits for orders, for the child's end and for the deadline, whichever comes first.

use std::{
    ffi::CStr,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl::{set_child_subreaper, set_name},
        resource::{Resource, setrlimit},
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    unistd::{close, getpid, getsid},
};

use super::{
    EXEC_CHILD, PROGRAM,
    control::{Incoming, Link},
    family::{Family, Remains, drain},
};
use crate::process::{
    clock::Deadline,
    exit::{Exit, LaunchStep},
    frame::Frame,
    message::{Launch, LaunchFailure, Order, Report, Start},
    record::{self, Identity, Record},
};

/// How long the first order may take to come.
const START_LIMIT: Duration = Duration::from_mins(1);

/// [`PROGRAM`], for the system.
const NAME: &CStr = c"dmf-guard";

/// As far as a timer is set; later deadlines count as never.
const TIMER_LIMIT: Duration = Duration::from_hours(100 * 365 * 24);

/// Guards one child, from the order to start it until nobody of its family lives.
pub(super) fn run() -> io::Result<()> {
    close_inherited()?;
    // For people who list processes: it would be the number of a descriptor.
    set_name(NAME)?;
    Guard::new()?.watch()
}

/// Closes what others have left open for all their children, all but the three streams. Comes before this process
/// opens anything of its own.
fn close_inherited() -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|&fd| fd > 2) {
        // The one through which the list was read is closed already.
        let _ = close(fd);
    }
    Ok(())
}

struct Guard {
    worker: Link,
    ends: SignalFd,
    timer: TimerFd,
    deadline: Deadline,
    ward: Option<Ward>,
}

/// The child that is guarded.
struct Ward {
    family: Family,
    /// Open until the program runs.
    launch: Option<Link>,
    record: PathBuf,
}

/// What there is to do, after a wait.
#[derive(Default)]
struct Ready {
    orders: bool,
    ends: bool,
    launch: bool,
}

/// Whether the guard goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Wait,
    Leave,
}

impl Guard {
    fn new() -> io::Result<Self> {
        let worker = Link::on_stdin()?;
        // Blocked, since to ignore them takes unsafe code. The child unblocks what it inherits.
        let mut deaf = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD] {
            deaf.add(signal);
        }
        deaf.thread_block()?;
        let mut ends = SigSet::empty();
        ends.add(Signal::SIGCHLD);
        let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        set_child_subreaper(true)?;
        // Inherited: neither guard nor child leaves memory on a disk.
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let deadline = Deadline::after(START_LIMIT);
        let guard = Self { worker, ends, timer, deadline, ward: None };
        guard.set_timer()?;
        Ok(guard)
    }

    fn watch(mut self) -> io::Result<()> {
        let watched = self.watch_until_done();
        if watched.is_err() {
            // Whatever went wrong: no child without a guard that works.
            self.end(None);
        }
        watched
    }

    fn watch_until_done(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            // The clock first: this process or the machine may have slept for long, and an order that waits may
            // be as old.
            if self.deadline.has_passed() {
                self.expire();
                return Ok(());
            }
            if ready.launch && self.hear_launch()? == Next::Leave {
                return Ok(());
            }
            if ready.ends && self.look_for_end()? == Next::Leave {
                return Ok(());
            }
            if ready.orders && self.obey()? == Next::Leave {
                return Ok(());
            }
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> io::Result<Ready> {
        let mut fds = vec![
            PollFd::new(self.worker.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.ends.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.timer.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(launch) = self.ward.as_ref().and_then(|ward| ward.launch.as_ref()) {
            fds.push(PollFd::new(launch.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| fd.any().unwrap_or(true));
        Ok(Ready { orders: ready(0), ends: ready(1), launch: ready(3) })
    }

    fn set_timer(&self) -> io::Result<()> {
        // Zero would switch the timer off.
        let moment = self.deadline.since_boot().clamp(Duration::from_nanos(1), TIMER_LIMIT);
        let expiration = Expiration::OneShot(TimeSpec::from_duration(moment));
        Ok(self.timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Reads and follows one order of the worker.
    fn obey(&mut self) -> io::Result<Next> {
        let frame = match self.worker.receive()? {
            Incoming::Frame(frame) => frame,
            Incoming::Nothing => return Ok(Next::Wait),
            Incoming::Closed => {
                self.end(None);
                return Ok(Next::Leave);
            }
        };
        match frame.parse::<Order>().map_err(io::Error::other)? {
            Order::Start(start) => return self.start(start, &frame),
            Order::Extend(deadline) => {
                self.deadline = self.deadline.max(deadline);
                self.set_timer()?;
            }
            Order::Terminate => {
                if let Some(ward) = &self.ward {
                    ward.family.signal(Signal::SIGTERM);
                }
            }
            Order::Kill => {
                self.end(Some(false));
                return Ok(Next::Leave);
            }
        }
        Ok(Next::Wait)
    }

    /// Starts the child, unless it is too late.
    fn start(&mut self, start: Start, frame: &Frame) -> io::Result<Next> {
        self.deadline = start.deadline;
        self.set_timer()?;
        if self.deadline.has_passed() {
            return self.not_launched(LaunchFailure::Expired);
        }
        let record = record::path(&start.records, getpid().as_raw());
        if let Err(failure) = self.launch(start, frame.payload(), &record) {
            self.dismiss();
            let _ = fs::remove_file(&record);
            return self.not_launched(failure);
        }
        Ok(Next::Wait)
    }

    /// Makes the child's process, writes it down, and only then tells it what to become.
    fn launch(&mut self, start: Start, input: &[u8], path: &Path) -> Result<(), LaunchFailure> {
        let Start { boot_id, name, child, deadline, .. } = start;
        let own = getpid().as_raw();
        let (ours, theirs) = UnixStream::pair().map_err(failed(LaunchStep::Spawn))?;
        let family = spawn(theirs.into()).map_err(failed(LaunchStep::Spawn))?;
        let leader = family.leader();
        let link = Link::new(ours).map_err(failed(LaunchStep::Spawn));
        let ward = self.ward.insert(Ward { family, launch: None, record: path.to_owned() });
        let link = ward.launch.insert(link?);

        // Until it is told what to become, the process ends with this one by itself.
        let session = getsid(None).map_err(failed(LaunchStep::Record))?.as_raw();
        let guard = Identity::of(own).map_err(failed(LaunchStep::Record))?;
        let leader = Identity::of(leader).map_err(failed(LaunchStep::Record))?;
        let record = Record { boot_id, name, session, guard, child: leader };
        record.write(path).map_err(failed(LaunchStep::Record))?;
        link.send(&Launch { guard: own, deadline, child }, input).map_err(failed(LaunchStep::Describe))
    }

    /// Reads what the process that becomes the child says: a failure, or nothing, when the program runs.
    fn hear_launch(&mut self) -> io::Result<Next> {
        let Some(ward) = &mut self.ward else { return Ok(Next::Wait) };
        let Some(link) = &mut ward.launch else { return Ok(Next::Wait) };
        match link.receive()? {
            Incoming::Nothing => Ok(Next::Wait),
            Incoming::Closed => {
                ward.launch = None;
                self.worker.send(&Report::Started, &[])?;
                Ok(Next::Wait)
            }
            Incoming::Frame(frame) => {
                let failure = frame.parse().map_err(io::Error::other)?;
                self.dismiss();
                self.not_launched(failure)
            }
        }
    }

    /// Looks whether the child has ended.
    fn look_for_end(&mut self) -> io::Result<Next> {
        drain(&self.ends);
        let Some(ward) = &self.ward else { return Ok(Next::Wait) };
        if !ward.family.has_ended() {
            ward.family.reap_orphans();
            return Ok(Next::Wait);
        }
        // It may have left a word on why it did not run the program.
        while self.ward.as_ref().is_some_and(|ward| ward.launch.is_some()) {
            if self.hear_launch()? == Next::Leave {
                return Ok(Next::Leave);
            }
        }
        self.end(Some(false));
        Ok(Next::Leave)
    }

    /// The deadline has passed.
    fn expire(&mut self) {
        if self.ward.is_some() {
            self.end(Some(true));
        } else {
            let _ = self.worker.send(&Report::NotLaunched(LaunchFailure::Expired), &[]);
        }
    }

    fn not_launched(&mut self, failure: LaunchFailure) -> io::Result<Next> {
        self.worker.send(&Report::NotLaunched(failure), &[])?;
        Ok(Next::Leave)
    }

    /// Kills whoever is left of the child's family and, where `report` says so, tells the worker how the child
    /// ended and whether that was the deadline.
    fn end(&mut self, report: Option<bool>) {
        let remains = self.dismiss();
        if let (Some(remains), Some(expired)) = (remains, report) {
            let report = match remains {
                Remains::Nobody(status) => Report::Ended { exit: Exit::of(status), expired },
                Remains::Survivors(count) => Report::Survivors { count },
            };
            // A worker that does not listen any more needs no answer.
            let _ = self.worker.send(&report, &[]);
        }
    }

    /// Kills the child's family, if there is one. Its record goes when nobody of it is left.
    fn dismiss(&mut self) -> Option<Remains> {
        let ward = self.ward.take()?;
        let remains = ward.family.kill(&self.ends);
        if matches!(remains, Remains::Nobody(_)) {
            let _ = fs::remove_file(&ward.record);
        }
        Some(remains)
    }
}

/// Starts the process that becomes the child, with `input` as its standard input and this process's output.
#[allow(clippy::disallowed_methods, reason = "the guard starts the one child it guards")]
fn spawn(input: OwnedFd) -> io::Result<Family> {
    // Its own file, whatever was installed at the path since.
    Family::start(Command::new("/proc/self/exe").arg0(PROGRAM).arg(EXEC_CHILD).env_clear().stdin(input))
}

/// Turns a system's error into what the worker is told.
fn failed<E: Into<io::Error>>(step: LaunchStep) -> impl Fn(E) -> LaunchFailure {
    move |error| LaunchFailure::Failed {
        step,
        errno: error.into().raw_os_error().unwrap_or(Errno::EIO as i32),
    }
}
