//! Traces: what happened to one migration, from the request that submitted it to its end, over all processes. Spans
//! go out by OTLP, which Jaeger and every collector of OpenTelemetry take.

mod export;
mod settings;
mod span;

pub use export::{Error, TraceExport};
pub use settings::TraceSettings;
pub use span::{Span, SpanKind, parent_of};
