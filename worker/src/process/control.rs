//! The worker's side of the conversation with a guard: orders out, reports in, and the clocks that lead to orders.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Instant, sleep_until, timeout},
};

use super::{
    clock::LeaseEvent,
    error::Error,
    exit::{Cause, Exit},
    frame::{self, FrameReader},
    message::{LaunchFailure, Order, Report},
    spec::Limits,
};

/// How long an order may take to be written. Orders are small and a guard always reads, so a longer time means
/// that it is frozen.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// How long after SIGKILL was ordered the guard may take to report; above what it allows itself for that.
const REPORT_LIMIT: Duration = Duration::from_secs(15);

/// The same after a lease was lost, when a frozen guard would let the child outlive the lease: then the child is
/// killed by its record.
const LOST_REPORT_LIMIT: Duration = Duration::from_secs(2);

/// Stands for never, where the clock would overflow.
const FAR: Duration = Duration::from_hours(10 * 365 * 24);

/// How the conversation ended.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The child ran and is gone.
    Ended { exit: Exit, cause: Cause },
    /// The child never ran.
    NotLaunched(LaunchFailure),
    /// SIGKILL did not help in time.
    Survivors(usize),
    /// The guard is dead, or frozen.
    Lost,
}

/// One conversation. Dropping it closes the socket, at which the guard kills.
pub(super) struct Conversation {
    socket: UnixStream,
    reader: FrameReader,
    limits: Limits,
    cause: Cause,
    timeout_at: Instant,
    kill_at: Option<Instant>,
    give_up_at: Option<Instant>,
}

impl Conversation {
    /// Takes the socket to a guard that was just started. The child's time begins now.
    pub(super) fn new(socket: UnixStream, limits: Limits) -> Self {
        let timeout_at = from_now(limits.timeout);
        Self {
            socket,
            reader: FrameReader::new(),
            limits,
            cause: Cause::Natural,
            timeout_at,
            kill_at: None,
            give_up_at: None,
        }
    }

    /// Has the child started, which the frame `start` describes, and sees it to its end.
    pub(super) async fn hold(mut self, start: &[u8]) -> Result<Verdict, Error> {
        self.write(start).await;
        loop {
            tokio::select! {
                biased;
                event = self.limits.lease.next_event(), if self.cause != Cause::LeaseLost => match event {
                    LeaseEvent::Extended(deadline) => self.order(&Order::Extend(deadline)).await?,
                    LeaseEvent::Lost => self.kill(Cause::LeaseLost).await?,
                },
                report = next_report(&mut self.socket, &mut self.reader) => match report? {
                    Some(Report::Started) => {}
                    Some(report) => return Ok(self.judge(report)),
                    None => return Ok(Verdict::Lost),
                },
                () = self.limits.cancel.cancelled(), if self.cause == Cause::Natural => {
                    self.terminate(Cause::Cancelled).await?;
                }
                () = sleep_until(self.timeout_at), if self.cause == Cause::Natural => {
                    self.terminate(Cause::TimedOut).await?;
                }
                () = at(self.kill_at), if self.kill_at.is_some() => self.kill(self.cause).await?,
                () = at(self.give_up_at), if self.give_up_at.is_some() => return Ok(Verdict::Lost),
            }
        }
    }

    fn judge(&self, report: Report) -> Verdict {
        match report {
            Report::Ended { exit, expired } => {
                let cause = if expired { Cause::LeaseLost } else { self.cause };
                Verdict::Ended { exit, cause }
            }
            Report::NotLaunched(failure) => Verdict::NotLaunched(failure),
            Report::Survivors { count } => Verdict::Survivors(count),
            Report::Started => Verdict::Lost,
        }
    }

    async fn terminate(&mut self, cause: Cause) -> Result<(), Error> {
        self.cause = cause;
        self.kill_at = Some(from_now(self.limits.grace));
        self.order(&Order::Terminate).await
    }

    async fn kill(&mut self, cause: Cause) -> Result<(), Error> {
        self.cause = cause;
        self.kill_at = None;
        let limit = if cause == Cause::LeaseLost { LOST_REPORT_LIMIT } else { REPORT_LIMIT };
        self.give_up_at = Some(from_now(limit));
        if let Ok(ordered) = timeout(limit, self.order(&Order::Kill)).await {
            return ordered;
        }
        Ok(())
    }

    async fn order(&mut self, order: &Order) -> Result<(), Error> {
        let bytes = frame::encode(order, &[]).map_err(Error::Description)?;
        self.write(&bytes).await;
        Ok(())
    }

    /// A guard that has closed its end may have left a report, which is read next; one that does not read is
    /// given up.
    async fn write(&mut self, bytes: &[u8]) {
        if timeout(SEND_LIMIT, self.socket.write_all(bytes)).await.is_err() {
            self.give_up_at = Some(Instant::now());
        }
    }
}

/// Waits for a report; `None` when the guard has closed its end. Cancel safe.
async fn next_report(socket: &mut UnixStream, reader: &mut FrameReader) -> Result<Option<Report>, Error> {
    loop {
        match socket.read(reader.vacant()).await {
            Ok(0) => return Ok(None),
            Ok(count) => {
                if let Some(frame) = reader.advance(count).map_err(Error::Protocol)? {
                    return frame.parse().map(Some).map_err(Error::Protocol);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Ok(None),
        }
    }
}

fn from_now(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or(now + FAR)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
