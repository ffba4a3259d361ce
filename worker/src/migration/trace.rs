//! A migration in its trace: how long it waited, its claim, and a span around everything that this lease does. The
//! steps put theirs below it.

use std::{path::Path, time::Duration};

use dmf_shared::{
    domain::{migration::Status, outcome::Outcome},
    ops::traces::{Span, SpanKind},
    store::Claimed,
};

use super::{
    Ended,
    step::{Cut, Ran},
};
use crate::{
    held::{Held, Stop},
    process::Exit,
};

/// Begins the span of a migration, as of its claim. What was submitted alone goes on with the trace of its request;
/// what came in a bulk begins one.
pub(super) fn begin(held: &Held) -> Span {
    let Claimed { trace, queued_ms, source, phase, attempt, .. } = &held.claimed;
    let (claimed_ago, took) = (held.age(), held.claim_took());
    let began_ago = claimed_ago + took;
    if trace.is_some() {
        let waited = Duration::from_millis(*queued_ms).saturating_sub(took);
        Span::begin_ago("queue", SpanKind::Internal, *trace, began_ago + waited).end_ago(began_ago);
    }
    let mut span = Span::begin_ago("migration", SpanKind::Consumer, *trace, began_ago);
    span.set("dmf.source", source.name.as_str().to_owned())
        .set("dmf.migration", held.name())
        .set("dmf.phase", phase.as_str())
        .set("dmf.sourcehost", held.claimed.host.definition.name.clone())
        .set("dmf.attempts_before", i64::from(*attempt));
    held.set_trace(span.place());
    if let Some(place) = span.place() {
        Span::begin_ago("claim", SpanKind::Internal, Some(place), began_ago).end_ago(claimed_ago);
    }
    span
}

/// Says in the span of a migration how its steps ended.
pub(super) fn note_end(span: &mut Span, ended: &Ended, outcome: Option<Outcome>) {
    if let Some(outcome) = outcome {
        span.set("dmf.outcome", outcome.as_str());
    }
    let failed = match ended {
        Ended::Finished(status) => {
            span.set("dmf.status", status.as_str());
            (*status != Status::Success).then_some(status.as_str())
        }
        Ended::Later(_) => Some("handed back; the next attempt follows later"),
        Ended::Stopped(Stop::Cancel) => Some("cancelled"),
        Ended::Stopped(Stop::Close) => Some("closed"),
        Ended::Stopped(Stop::HandBack) => Some("handed back"),
        Ended::Undead => Some("processes survive SIGKILL"),
        Ended::Broken(_) => Some("handed back after a fault"),
        Ended::Lost => Some("the lease was lost"),
    };
    if let Some(why) = failed {
        span.fail(why);
    }
}

/// Begins the span of one run of a command. Its arguments stand in `details`, for those who may read that.
pub(super) fn begin_command(held: &Held, step: &str, program: &str) -> Option<Span> {
    let mut span = held.begin_span(step)?;
    if let Some(name) = Path::new(program).file_name() {
        span.set("process.executable.name", name.to_string_lossy().into_owned());
    }
    Some(span)
}

/// Ends it with what became of the run.
pub(super) fn end_command(span: Option<Span>, ran: &Result<Ran, Box<Cut>>) {
    let Some(mut span) = span else { return };
    let ran = match ran {
        Ok(ran) => ran,
        Err(cut) => return span.fail(cut.why.sentence()),
    };
    match ran.exit {
        Some(Exit::Code(code)) => drop(span.set("process.exit.code", i64::from(code))),
        Some(Exit::Signal { signal, .. }) => drop(span.set("dmf.signal", i64::from(signal))),
        None => {}
    }
    if let Some(judgement) = &ran.judgement {
        span.set("dmf.outcome", judgement.outcome.as_str());
        if judgement.outcome != Outcome::Success {
            span.fail(judgement.outcome.as_str());
        }
    }
    if ran.fault.is_some() {
        span.fail("it could not be run to its end");
    }
}
