//! A running program of a contestant.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::protocol::{Order, Role, Settings, now};

/// How long a program may take to get ready.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// What a fill may take beyond the time that it was given.
const FILL_GRACE: Duration = Duration::from_mins(1);
/// How long a size may take.
const SIZE_LIMIT: Duration = Duration::from_mins(1);
/// How long a rebuild may take.
const REBUILD_LIMIT: Duration = Duration::from_mins(6);
/// How much of a log goes into an error.
const TAIL: usize = 600;

/// The program, in a process group of its own, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    log: PathBuf,
    version: String,
}

impl Program {
    /// Starts it and waits until it is ready. Its errors go to `log`.
    pub(crate) fn start(command: &[String], role: Role, settings: &Settings, log: &Path) -> Result<Self> {
        let (program, arguments) = command.split_first().context("a program")?;
        let errors = File::create(log).with_context(|| log.display().to_string())?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(role.as_str())
            // The last lines of its log are to say what is wrong.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| program.clone())?;
        let (send, answers) = channel();
        if let Some(output) = child.stdout.take() {
            // Ends with the program.
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if send.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        let name = format!("{program} … {}", role.as_str());
        let (orders, log, version) = (child.stdin.take(), log.to_owned(), String::new());
        let mut started = Self { name, child, orders, answers, log, version };
        started.send(&format!("{}\n", serde_json::to_string(settings)?))?;
        let version = started.answer("version", READY_LIMIT)?;
        version.as_str().unwrap_or_default().clone_into(&mut started.version);
        Ok(started)
    }

    /// Version of the library that it measures.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Enqueues as many of these jobs as it can in so many seconds; gives how many.
    pub(crate) fn fill(&mut self, first: u64, count: u64, secs: u64) -> Result<u64> {
        self.send(&Order::Fill { first, count, secs }.line())?;
        let answer = self.answer("filled", Duration::from_secs(secs) + FILL_GRACE)?;
        answer.as_u64().with_context(|| format!("{}: {answer}", self.name))
    }

    /// Bytes that its database holds.
    pub(crate) fn size(&mut self) -> Result<u64> {
        self.send(&Order::Size.line())?;
        let answer = self.answer("bytes", SIZE_LIMIT)?;
        answer.as_u64().with_context(|| format!("{}: {answer}", self.name))
    }

    /// Waits until its queue, which was lost, is there again.
    pub(crate) fn wait_until_built(&mut self) -> Result<()> {
        self.send(&Order::Rebuilt.line())?;
        self.answer("built", REBUILD_LIMIT).map(|_| ())
    }

    /// Has it enqueue jobs one by one, so many a second, however long each of them takes. Gives when each was due.
    pub(crate) fn pace(&mut self, ids: Range<u64>, per_second: u64) -> Result<Vec<(u64, u64)>> {
        let period = 1_000_000_000 / per_second.max(1);
        let begin = now() + period;
        let mut due = Vec::new();
        for (id, turn) in ids.zip(0..) {
            let at = begin + turn * period;
            std::thread::sleep(Duration::from_nanos(at.saturating_sub(now())));
            self.send(&Order::One(id).line())?;
            due.push((id, at));
        }
        Ok(due)
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        Some(format!("ended with {status}{}", self.last_words()))
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("it was told to end")?;
        orders.write_all(line.as_bytes()).with_context(|| format!("tell {}", self.name))?;
        Ok(())
    }

    /// The next answer. Whatever else a library prints is passed over.
    fn answer(&self, field: &str, limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.answers.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => anyhow!("no answer in {} s", limit.as_secs()),
                RecvTimeoutError::Disconnected => anyhow!("ended{}", self.last_words()),
            });
            let line = line.with_context(|| self.name.clone())?;
            let answer = serde_json::from_str::<Value>(&line).ok();
            if let Some(value) = answer.as_ref().and_then(|answer| answer.get(field)) {
                return Ok(value.clone());
            }
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let tail: Vec<_> = text.trim().lines().rev().take(3).collect();
        let tail: String =
            tail.into_iter().rev().collect::<Vec<_>>().join(" / ").chars().take(TAIL).collect();
        if tail.is_empty() { String::new() } else { format!(": {tail}") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // A group that is gone needs no signal.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        // Reaped, so that its number is not taken for it any more.
        drop(self.child.wait());
    }
}
