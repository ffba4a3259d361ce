//! Where spans go, and how many.

use std::time::Duration;

use axum::http::Uri;

use crate::config::Reader;

/// Where OTLP over HTTP is taken for spans below the address of a receiver, and where one listens by default
/// (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
const PATH: &str = "/v1/traces";
const DEFAULT: &str = "http://localhost:4318/v1/traces";

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The URL of the receiver.
    pub endpoint: String,
    /// Of the traces that begin here, the share that is recorded, 0 to 1. Who sent a trace along has decided that
    /// already.
    pub sampling: f64,
    /// How long the receiver may take to answer.
    pub timeout: Duration,
}

impl TraceSettings {
    /// Reads `tracing.otlp.*`; `None` when nothing is exported.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let key = "tracing.otlp.endpoint";
        let is_given = reader.is_set(key);
        let endpoint = endpoint(&reader.string_or(key, DEFAULT));
        if endpoint.is_none() {
            // Not shown: it may hold credentials.
            reader.reject(key, "must be an http or https URL without credentials and query");
        }
        let settings = Self {
            endpoint: endpoint.unwrap_or_default(),
            sampling: reader
                .parsed("tracing.otlp.sampling", "a number from 0 to 1", |text| {
                    text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share))
                })
                .unwrap_or(1.0),
            timeout: reader.duration(
                "tracing.otlp.timeout",
                Duration::from_secs(5),
                Duration::from_secs(1)..=Duration::from_secs(30),
            ),
        };
        reader.otherwise("tracing.otlp.sampling", 1);
        reader.bool("tracing.otlp.enabled", is_given).then_some(settings)
    }
}

/// The URL with the path for spans where it has none.
fn endpoint(text: &str) -> Option<String> {
    let uri: Uri = text.trim().parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    // It is shown in the log, and a query is where keys stand.
    if uri.query().is_some() {
        return None;
    }
    let path = if uri.path() == "/" { PATH } else { uri.path() };
    Some(format!("{scheme}://{authority}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Sources};

    fn read(yaml: &str) -> Result<Option<TraceSettings>, String> {
        let properties = Sources::default().load_text(yaml, Environment::default()).unwrap();
        let mut reader = Reader::new(&properties);
        let settings = TraceSettings::read(&mut reader);
        reader.finish().map(|_| settings).map_err(|errors| errors.to_string())
    }

    #[test]
    fn an_endpoint_has_spans_exported_unless_that_is_switched_off() {
        assert_eq!(read("").unwrap(), None);
        let settings = read("tracing.otlp: {endpoint: 'http://jaeger:4318'}").unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://jaeger:4318/v1/traces");
        assert!((settings.sampling - 1.0).abs() < f64::EPSILON);
        assert_eq!(read("tracing.otlp: {endpoint: 'http://jaeger:4318', enabled: false}").unwrap(), None);
        assert_eq!(read("tracing.otlp.enabled: true").unwrap().unwrap().endpoint, DEFAULT);
        let other = read("tracing.otlp: {endpoint: 'https://c.example/otlp/v1/traces', sampling: 0.25}");
        let other = other.unwrap().unwrap();
        assert_eq!((&other.endpoint[..], other.sampling), ("https://c.example/otlp/v1/traces", 0.25));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (yaml, key) in [
            ("tracing.otlp.endpoint: jaeger", "tracing.otlp.endpoint"),
            ("tracing.otlp.endpoint: 'http://u:secret@jaeger:4318'", "tracing.otlp.endpoint"),
            ("tracing.otlp.endpoint: 'http://jaeger:4318/?key=secret'", "tracing.otlp.endpoint"),
            ("tracing.otlp.endpoint: 'ftp://jaeger'", "tracing.otlp.endpoint"),
            ("tracing.otlp.sampling: 2", "tracing.otlp.sampling"),
            ("tracing.otlp.sampling: NaN", "tracing.otlp.sampling"),
            ("tracing.otlp.timeout: 0s", "tracing.otlp.timeout"),
        ] {
            let fault = read(yaml).unwrap_err();
            assert!(fault.contains(key) && !fault.contains("secret"), "{yaml}: {fault}");
        }
    }
}
