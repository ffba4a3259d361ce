use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;

/// A span that was received.
#[derive(Debug, Clone)]
pub struct SeenSpan {
    /// Name of the service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The trace, in hexadecimal.
    pub trace: String,
    /// Its own id, in hexadecimal.
    pub id: String,
    /// The span above; empty for the first of a trace.
    pub parent: String,
    /// As OTLP numbers them: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// What is said of it.
    pub attributes: BTreeMap<String, String>,
    /// Begin and end, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// Why it failed, where it did.
    pub failed: Option<String>,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<SeenSpan>,
    bodies: Vec<u8>,
    malformed: Vec<String>,
}

/// A receiver of spans by OTLP over HTTP, as Jaeger has one.
#[derive(Debug)]
pub struct OtlpReceiver {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: tokio::task::JoinHandle<()>,
}

impl OtlpReceiver {
    /// Receives on a free port of 127.0.0.1, until it is dropped.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let seen = Arc::<Mutex<Seen>>::default();
        let router = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            // It ends with its task alone.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { addr, seen, serving })
    }

    /// What processes are told of it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All spans so far.
    ///
    /// # Errors
    /// Something was sent that is no OTLP.
    pub fn spans(&self) -> Result<Vec<SeenSpan>> {
        let seen = self.lock();
        anyhow::ensure!(seen.malformed.is_empty(), "{:?}", seen.malformed);
        Ok(seen.spans.clone())
    }

    /// Everything that was sent, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bodies.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.bodies.extend(&body);
    match read(&headers, &body) {
        Ok(spans) => {
            seen.spans.extend(spans);
            StatusCode::OK
        }
        Err(error) => {
            seen.malformed.push(format!("{error:#}"));
            StatusCode::BAD_REQUEST
        }
    }
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<SeenSpan>> {
    let kind = headers.get("content-type").context("no content type")?.to_str()?;
    anyhow::ensure!(kind == "application/x-protobuf", "the content type is {kind}");
    let request = ExportTraceServiceRequest::decode(body)?;
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let of_service = resource.resource.map(|resource| texts(&resource.attributes)).unwrap_or_default();
        let service = of_service.get("service.name").context("no service")?;
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let failed = span.status.filter(|status| status.code() == SpanStatus::Error);
            spans.push(SeenSpan {
                service: service.clone(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind,
                attributes: texts(&span.attributes),
                time: (span.start_time_unix_nano, span.end_time_unix_nano),
                failed: failed.map(|status| status.message),
            });
        }
    }
    Ok(spans)
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = attributes.iter().filter_map(|pair| {
        let value = pair.value.as_ref()?.value.as_ref()?;
        Some((pair.key.clone(), text(value)))
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
