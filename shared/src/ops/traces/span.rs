//! Spans of a trace. Which there are is said where the work is done, and nowhere else: what libraries have to tell
//! is for the log.

use std::{
    num::{NonZeroU64, NonZeroU128},
    time::{Duration, SystemTime},
};

use axum::http::HeaderMap;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId, Value,
    global::{self, BoxedSpan},
    trace::{Span as _, SpanBuilder, SpanContext, Status, TraceContextExt as _, TraceState, Tracer as _},
};

pub use opentelemetry::trace::SpanKind;

use crate::domain::trace::TraceParent;

/// Whose spans they are, in the words of OpenTelemetry: the library that makes them.
const SCOPE: &str = "dmf";

/// Where the trace stands that a request brings: `traceparent`, or else Jaeger's `uber-trace-id`. What is said more
/// than once, or can't be read, was not said.
pub fn parent_of(headers: &HeaderMap) -> Option<TraceParent> {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        value.to_str().ok().map(str::trim)
    };
    let w3c = only("traceparent").and_then(|text| text.parse().ok());
    w3c.or_else(|| TraceParent::from_jaeger(only("uber-trace-id")?).ok())
}

/// A span that runs. Dropped, it ends. Where nothing is exported it is nothing, but what it was given as its
/// parent is handed on.
#[derive(Debug)]
pub struct Span(BoxedSpan);

impl Span {
    /// Begins a span below `parent`, or a trace.
    pub fn begin(name: impl Into<String>, kind: SpanKind, parent: Option<TraceParent>) -> Self {
        Self::begin_ago(name, kind, parent, Duration::ZERO)
    }

    /// Begins one that began so long ago.
    pub fn begin_ago(
        name: impl Into<String>,
        kind: SpanKind,
        parent: Option<TraceParent>,
        ago: Duration,
    ) -> Self {
        let context = parent
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(context_of(parent)));
        let builder = SpanBuilder::from_name(name.into()).with_kind(kind).with_start_time(before(ago));
        Self(global::tracer(SCOPE).build_with_context(builder, &context))
    }

    /// Says something of it. Nothing secret: whoever may read traces is not who may read mail.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.set_attribute(KeyValue::new(key, value));
        self
    }

    /// It failed, and why.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.0.set_status(Status::error(why.into()));
    }

    /// Its place, for what follows from it; `None` when there is no trace.
    pub fn place(&self) -> Option<TraceParent> {
        let context = self.0.span_context();
        Some(TraceParent {
            trace: NonZeroU128::new(u128::from_be_bytes(context.trace_id().to_bytes()))?,
            span: NonZeroU64::new(u64::from_be_bytes(context.span_id().to_bytes()))?,
            is_sampled: context.is_sampled(),
        })
    }

    /// Ends it as of so long ago.
    pub fn end_ago(mut self, ago: Duration) {
        self.0.end_with_timestamp(before(ago));
    }
}

fn context_of(parent: TraceParent) -> SpanContext {
    SpanContext::new(
        TraceId::from(parent.trace.get()),
        SpanId::from(parent.span.get()),
        if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        true,
        TraceState::default(),
    )
}

#[allow(clippy::disallowed_methods, reason = "a span tells the wall-clock time; nothing is decided by it")]
fn before(ago: Duration) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(ago).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_first_of_both_formats_that_can_be_read_counts() {
        let w3c = parent_of(&headers(&[("traceparent", W3C), ("uber-trace-id", "7:1:0:1")])).unwrap();
        assert_eq!(w3c.to_string(), W3C);
        let jaeger = parent_of(&headers(&[("traceparent", "rubbish"), ("uber-trace-id", "7:1:0:1")]));
        assert_eq!(jaeger.unwrap().trace.get(), 7);
        assert_eq!(parent_of(&headers(&[("traceparent", W3C), ("traceparent", W3C)])), None);
        assert_eq!(parent_of(&HeaderMap::new()), None);
    }

    #[test]
    fn without_export_a_span_hands_on_what_it_was_given() {
        let parent: TraceParent = W3C.parse().unwrap();
        assert_eq!(Span::begin("a", SpanKind::Server, Some(parent)).place(), Some(parent));
        assert_eq!(Span::begin("a", SpanKind::Server, None).place(), None);
    }
}
