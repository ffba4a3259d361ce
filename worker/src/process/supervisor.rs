//! Runs children under guards.

use std::{
    io,
    os::{fd::OwnedFd, unix::net},
    path::{Path, PathBuf},
    pin::pin,
    process::Stdio,
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, timeout},
};
use zeroize::Zeroizing;

use super::{
    control::{Conversation, Verdict},
    error::Error,
    exit::{Cause, Finished},
    frame, guard, leftover,
    message::{ChildSpec, LaunchFailure, Order, Start},
    output::{Head, Tail, drain},
    procfs,
    program::GuardProgram,
    record,
    spec::{Limits, Spec},
};

/// How long the pipes may stay open once the child's family is dead: only what has been written is still to read.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// How long a guard may take to exit after its last word.
const GUARD_EXIT_LIMIT: Duration = Duration::from_secs(5);

/// How long the family of a lost guard may take to die of SIGKILL.
const LOST_FAMILY_LIMIT: Duration = Duration::from_secs(10);

/// Starts children and sees them to their end. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Supervisor {
    guard: GuardProgram,
    records: PathBuf,
    boot_id: String,
}

impl Supervisor {
    /// Records of running children go to `children` in `state_dir`, which is made for the owner only.
    pub fn new(guard: GuardProgram, state_dir: &Path) -> Result<Self, Error> {
        let records = record::directory(state_dir);
        record::make_directory(&records)
            .and_then(|()| std::path::absolute(&records))
            .and_then(|records| Ok(Self { guard, records, boot_id: procfs::boot_id()? }))
            .map_err(|source| Error::State { path: records, source })
    }

    /// Runs one child to its end. When this returns, but for [`Error::Survivors`], no process of the child is left
    /// (after [`Error::GuardLost`], none of its group); when it is dropped, its guard kills them at once.
    ///
    /// `on_stderr` gets standard error while the child runs, in pieces that end anywhere. It must be quick: the
    /// child waits for it. A non-zero exit is not an error.
    pub async fn run(
        &self,
        spec: Spec,
        mut limits: Limits,
        on_stderr: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Finished, Error> {
        if limits.lease.is_lost() {
            return Err(Error::NotStarted { cause: Cause::LeaseLost });
        }
        if limits.cancel.is_cancelled() {
            return Err(Error::NotStarted { cause: Cause::Cancelled });
        }
        let program = spec.program.clone();
        let (mut head, mut tail) = (Head::new(spec.stdout_limit), Tail::new(spec.stderr_tail));
        let start = self.describe(spec, &mut limits)?;
        let begun = Instant::now();
        let (mut guard, socket) = self.start_guard()?;
        let outputs = (guard.stdout.take(), guard.stderr.take());
        let conversation = async {
            let verdict = Conversation::new(socket, limits).hold(&start).await;
            let duration = begun.elapsed();
            // Before the outputs are waited for: whom a lost guard has left may hold them.
            self.dismiss(guard, &verdict).await?;
            Ok((verdict?, duration))
        };
        let (verdict, duration) =
            attend(conversation, drain(outputs, &mut head, &mut tail, on_stderr)).await?;
        match verdict {
            Verdict::Ended { exit, cause } => Ok(Finished {
                exit,
                cause,
                stdout: head.kept,
                stdout_truncated: head.truncated,
                stderr_tail: tail.into_bytes(),
                duration,
            }),
            Verdict::NotLaunched(LaunchFailure::Expired) => {
                Err(Error::NotStarted { cause: Cause::LeaseLost })
            }
            Verdict::NotLaunched(LaunchFailure::Failed { step, errno }) => {
                Err(Error::Start { program, step, source: io::Error::from_raw_os_error(errno) })
            }
            Verdict::Survivors(count) => Err(Error::Survivors { count }),
            Verdict::Lost => Err(Error::GuardLost),
        }
    }

    /// SIGKILLs what still lives of the children whose `Spec::name` is `name` and a word; gives how many processes
    /// those were.
    pub fn strike(&self, name: &str) -> usize {
        leftover::strike_named(&self.records, name)
    }

    /// Makes the frame that has the guard start the child.
    fn describe(&self, mut spec: Spec, limits: &mut Limits) -> Result<Zeroizing<Vec<u8>>, Error> {
        let input = spec.stdin.take();
        let start = Start {
            deadline: limits.lease.begin(),
            records: self.records.clone(),
            boot_id: self.boot_id.clone(),
            name: std::mem::take(&mut spec.name),
            child: ChildSpec::of(spec, input.is_some()),
        };
        let input = input.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        frame::encode(&Order::Start(start), input).map_err(Error::Description)
    }

    /// Starts a guard in a group of its own, with one end of a socket pair as its standard input.
    #[allow(clippy::disallowed_methods, reason = "the one place where the worker starts processes")]
    fn start_guard(&self) -> Result<(Child, UnixStream), Error> {
        let failed = |source| Error::Guard { program: self.guard.path().to_owned(), source };
        let (ours, theirs) = net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let socket = UnixStream::from_std(ours).map_err(failed)?;
        let guard = Command::new(self.guard.exe())
            .arg0(guard::PROGRAM)
            .arg(guard::GUARD)
            .env_clear()
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        Ok((guard, socket))
    }

    /// Waits for a guard that has said its last word. One that has not is killed, its child with it, and then
    /// whoever is left by its record.
    async fn dismiss(&self, mut guard: Child, verdict: &Result<Verdict, Error>) -> Result<(), Error> {
        let pid = guard.id().and_then(|pid| i32::try_from(pid).ok());
        let lost = matches!(verdict, Ok(Verdict::Lost) | Err(_));
        if lost || timeout(GUARD_EXIT_LIMIT, guard.wait()).await.is_err() {
            // Fails only where it has ended already.
            let _ = guard.start_kill();
            let _ = timeout(GUARD_EXIT_LIMIT, guard.wait()).await;
        }
        let (true, Some(pid)) = (lost, pid) else { return Ok(()) };
        match leftover::settle(record::path(&self.records, pid), LOST_FAMILY_LIMIT).await {
            0 => Ok(()),
            count => Err(Error::Survivors { count }),
        }
    }
}

/// Drives the conversation with the guard while the outputs are drained; gives what the conversation gives.
async fn attend<V>(conversation: impl Future<Output = V>, draining: impl Future<Output = ()>) -> V {
    let (mut conversation, mut draining) = (pin!(conversation), pin!(draining));
    tokio::select! {
        verdict = &mut conversation => {
            // Bounded, because a process that survived may hold the pipes.
            let _ = timeout(DRAIN_LIMIT, draining).await;
            verdict
        }
        () = &mut draining => conversation.await,
    }
}
