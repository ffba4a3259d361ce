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
    procfs, record,
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
    exe: PathBuf,
    records: PathBuf,
    boot_id: String,
}

impl Supervisor {
    /// `exe` is the binary whose sub command is the guard: `/proc/self/exe` for the worker itself, which stays the
    /// same file when another version is installed. Records of running children go to `children` in `state_dir`,
    /// which is made for the owner only.
    pub fn new(exe: impl Into<PathBuf>, state_dir: &Path) -> Result<Self, Error> {
        let records = record::directory(state_dir);
        record::make_directory(&records)
            .and_then(|()| std::path::absolute(&records))
            .and_then(|records| Ok(Self { exe: exe.into(), records, boot_id: procfs::boot_id()? }))
            .map_err(|source| Error::State { path: records, source })
    }

    /// Runs one child to its end. When this returns, but for [`Error::Survivors`], no process of the child is left;
    /// when it is dropped, its guard kills them at once.
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
        let record = guard.id().and_then(|pid| i32::try_from(pid).ok()).map(|pid| record::path(&self.records, pid));

        let verdict = {
            let (stdout, stderr) = (guard.stdout.take(), guard.stderr.take());
            let mut drained = pin!(drain(stdout, stderr, &mut head, &mut tail, on_stderr));
            let mut held = pin!(Conversation::new(socket, limits).hold(&start));
            tokio::select! {
                verdict = &mut held => {
                    // Bounded, because a process that survived may hold the pipes.
                    let _ = timeout(DRAIN_LIMIT, drained).await;
                    verdict
                }
                () = &mut drained => held.await,
            }
        };
        let duration = begun.elapsed();
        // Where the conversation failed the guard is as good as lost.
        let lost = !matches!(verdict, Ok(Verdict::Ended { .. } | Verdict::NotLaunched(_) | Verdict::Survivors(_)));
        dismiss(&mut guard, lost).await;
        if let (true, Some(record)) = (lost, record) {
            kill_lost_family(record).await?;
        }
        match verdict? {
            Verdict::Ended { exit, cause } => Ok(Finished {
                exit,
                cause,
                stdout: head.kept,
                stdout_truncated: head.truncated,
                stderr_tail: tail.into_bytes(),
                duration,
            }),
            Verdict::NotLaunched(LaunchFailure::Expired) => Err(Error::NotStarted { cause: Cause::LeaseLost }),
            Verdict::NotLaunched(LaunchFailure::Failed { step, errno }) => {
                Err(Error::Start { program, step, source: io::Error::from_raw_os_error(errno) })
            }
            Verdict::Survivors(count) => Err(Error::Survivors { count }),
            Verdict::Lost => Err(Error::GuardLost),
        }
    }

    /// Makes the frame that has the guard start the child.
    fn describe(&self, spec: Spec, limits: &mut Limits) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut spec = spec;
        let input = spec.stdin.take();
        let start = Start {
            deadline: limits.lease.begin(),
            records: self.records.clone(),
            boot_id: self.boot_id.clone(),
            name: std::mem::take(&mut spec.name),
            child: ChildSpec::of(spec, input.is_some()),
        };
        let input = input.as_ref().map(|input| input.expose_secret()).unwrap_or_default();
        frame::encode(&Order::Start(start), input).map_err(Error::Description)
    }

    /// Starts a guard in a group of its own, with one end of a socket pair as its standard input.
    #[allow(clippy::disallowed_methods, reason = "the one place where the worker starts processes")]
    fn start_guard(&self) -> Result<(Child, UnixStream), Error> {
        let failed = |source| Error::Guard { exe: self.exe.clone(), source };
        let (ours, theirs) = net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let socket = UnixStream::from_std(ours).map_err(failed)?;
        let guard = Command::new(&self.exe)
            .arg0("dmf-worker")
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
}

/// Waits for the guard to exit, and makes it when it does not. Its child dies with it.
async fn dismiss(guard: &mut Child, lost: bool) {
    if lost || timeout(GUARD_EXIT_LIMIT, guard.wait()).await.is_err() {
        let _ = guard.start_kill();
        let _ = timeout(GUARD_EXIT_LIMIT, guard.wait()).await;
    }
}

/// Kills whom a lost guard has left. No record means nobody.
async fn kill_lost_family(record: PathBuf) -> Result<(), Error> {
    match leftover::settle(record, LOST_FAMILY_LIMIT).await {
        0 => Ok(()),
        count => Err(Error::Survivors { count }),
    }
}
