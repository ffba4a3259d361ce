//! One run of one command under its guard, judged.

use std::time::Duration;

use dmf_shared::domain::migration::Phase;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::{Runner, details::exit_text, secrets::Secrets, trace};
use crate::{
    doveadm::{
        argv::Invocation,
        classify::RunKind,
        judge::{JudgeInput, Judgement, judge},
        mail_log::{StderrReader, StderrReading},
        status,
    },
    gauges,
    held::Held,
    process::{Cause, EnvVar, Error, Exit, Limits, Spec},
};

/// Most bytes of standard output that are kept: a status of some ten thousand mailboxes.
const STDOUT_LIMIT: usize = 16 << 20;

/// The whole environment of doveadm.
const ENVIRONMENT: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")];

/// A step that did not come to its end, and what its command had said by then.
#[derive(Debug)]
pub(super) struct Cut {
    /// Why.
    pub(super) why: Interrupted,
    /// What was read from standard error.
    pub(super) stderr: StderrReading,
}

impl From<Box<Cut>> for Interrupted {
    fn from(cut: Box<Cut>) -> Self {
        cut.why
    }
}

/// Why a step did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// The lease was lost; the child is dead.
    LeaseLost,
    /// The next attempt is so far away that the slot is given back meanwhile.
    Later(Duration),
    /// MariaDB refuses what has to be noted.
    Refused,
    /// The migration was told to stop; the child is dead.
    Stopped,
    /// Processes of the child still live after SIGKILL: the lease must not be given up.
    Survivors,
}

impl Interrupted {
    /// For the record.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::LeaseLost => "the lease was lost".to_owned(),
            Self::Later(pause) => {
                format!("handed back; the next attempt follows in {} s or later", pause.as_secs_f64().ceil())
            }
            Self::Stopped => "told to stop before its end".to_owned(),
            Self::Refused => "the database refused what had to be noted".to_owned(),
            Self::Survivors => "its processes survive SIGKILL".to_owned(),
        }
    }
}

/// What a run that ended left.
#[derive(Debug)]
pub(super) struct Ran {
    /// How it ended; `None` when the child could not be run to its end.
    pub(super) exit: Option<Exit>,
    /// Why it could not, or that its time was over.
    pub(super) fault: Option<String>,
    /// The verdict; `None` when there is nothing to judge.
    pub(super) judgement: Option<Judgement>,
    /// Whether it could not even be started: trouble of this machine.
    pub(super) not_started: bool,
    /// Whether standard output was read and understood to its end.
    pub(super) complete: bool,
    /// What was read from standard error.
    pub(super) stderr: StderrReading,
}

impl Runner {
    /// Runs one command. Returns only when no process of it is left.
    pub(super) async fn run_once(
        &self,
        held: &Held,
        step: &str,
        invocation: &Invocation,
        timeout: Duration,
        secrets: &Secrets,
    ) -> Result<Ran, Box<Cut>> {
        let limits = Limits::new(held.clock(), timeout, held.stop_token());
        self.run_within(held, step, invocation, limits, Vec::new(), secrets).await
    }

    /// The same within limits of the caller, with a larger environment.
    pub(super) async fn run_within(
        &self,
        held: &Held,
        step: &str,
        invocation: &Invocation,
        limits: Limits,
        env: Vec<EnvVar>,
        secrets: &Secrets,
    ) -> Result<Ran, Box<Cut>> {
        let span = trace::begin_command(held, step, &invocation.program);
        let ran = self.run_judged(held, step, invocation, limits, env, secrets).await;
        trace::end_command(span, &ran);
        ran
    }

    async fn run_judged(
        &self,
        held: &Held,
        step: &str,
        invocation: &Invocation,
        limits: Limits,
        env: Vec<EnvVar>,
        secrets: &Secrets,
    ) -> Result<Ran, Box<Cut>> {
        let mut reader = StderrReader::new();
        let mut spec = self.spec(held, step, invocation);
        spec.env.extend(env);
        metrics::counter!("dmf.children.started", "step" => step.to_owned()).increment(1);
        let running = gauges::Running::begin();
        let mut log = self.command_log.begin(held, step, invocation, secrets);
        held.show_progress(step, reader.so_far());
        let ran = self
            .supervisor
            .run(spec, limits, &mut |bytes| {
                log.feed(bytes);
                reader.feed(bytes);
                held.show_progress(step, reader.so_far());
            })
            .await;
        drop(running);
        match &ran {
            Ok(ended) => log.end(&ended.stdout, &format!("{}, {}", exit_text(ended.exit), ended.cause)),
            Err(error) => log.end(&[], &full_text(error)),
        }
        let stderr = reader.finish();
        let cut = |why, stderr| Err(Box::new(Cut { why, stderr }));
        match ran {
            Ok(finished) => match finished.cause {
                Cause::LeaseLost => cut(Interrupted::LeaseLost, stderr),
                Cause::Cancelled => cut(Interrupted::Stopped, stderr),
                cause @ (Cause::Natural | Cause::TimedOut) => {
                    let phase = held.claimed.phase;
                    let judgement =
                        self.judge_run(invocation, finished.exit, &stderr, &finished.stdout, phase, secrets);
                    let fault =
                        (cause == Cause::TimedOut).then(|| "its time was over, so it was ended".to_owned());
                    let complete =
                        !finished.stdout_truncated && is_understood(invocation.kind, &finished.stdout);
                    let exit = Some(finished.exit);
                    Ok(Ran { exit, fault, judgement: Some(judgement), not_started: false, complete, stderr })
                }
            },
            Err(Error::NotStarted { cause: Cause::LeaseLost }) => cut(Interrupted::LeaseLost, stderr),
            Err(Error::NotStarted { .. }) => cut(Interrupted::Stopped, stderr),
            Err(Error::Survivors { .. }) => cut(Interrupted::Survivors, stderr),
            Err(error) => {
                let fault = full_text(&error);
                tracing::error!(step, fault, "the command could not be run to its end");
                let not_started =
                    matches!(error, Error::Start { .. } | Error::Guard { .. } | Error::State { .. });
                Ok(Ran {
                    exit: None,
                    fault: Some(fault),
                    judgement: None,
                    not_started,
                    complete: false,
                    stderr,
                })
            }
        }
    }

    /// The verdict, with the policy that the settings give its outcome.
    fn judge_run(
        &self,
        invocation: &Invocation,
        exit: Exit,
        stderr: &StderrReading,
        stdout: &[u8],
        phase: Phase,
        secrets: &Secrets,
    ) -> Judgement {
        let mut judgement = judge(JudgeInput {
            end: exit.into(),
            stderr,
            stdout,
            kind: invocation.kind,
            success_code: invocation.success_code,
            phase: Some(phase),
            master_user: invocation.master_user,
        });
        judgement.message = secrets.hide(judgement.message);
        judgement.policy = self.settings.policies.of(judgement.outcome).unwrap_or(judgement.policy);
        judgement
    }

    fn spec(&self, held: &Held, step: &str, invocation: &Invocation) -> Spec {
        let stdin = invocation.stdin_config.as_ref();
        Spec {
            args: invocation.args.clone(),
            env: ENVIRONMENT.map(|(name, value)| EnvVar::new(name, value.to_owned())).into(),
            run_as: self.run_as,
            stdin: stdin.map(|text| SecretSlice::from(text.expose_secret().as_bytes().to_vec())),
            stdout_limit: STDOUT_LIMIT,
            ..Spec::new(format!("{} {step}", held.name()), &invocation.program)
        }
    }
}

/// Whether nothing of a count's output was left over.
fn is_understood(kind: RunKind, stdout: &[u8]) -> bool {
    match kind {
        RunKind::LocalCount | RunKind::RemoteCount => status::parse(stdout).complete,
        RunKind::Sync | RunKind::Other => true,
    }
}

fn full_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
