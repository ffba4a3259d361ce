//! One span for each request, with the request id that the answer carries and its place in a trace, and what a panic
//! becomes.

use std::{any::Any, convert::Infallible, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderValue, Method, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use dmf_shared::{
    domain::trace::TraceParent,
    ops::traces::{self, Span, SpanKind},
};
use tracing::Instrument as _;

use super::error::ApiError;

/// The header of a request's id.
const ID: &str = "x-request-id";

/// Longest id of a request that a client may choose.
const ID_LENGTH: usize = 64;

/// Middleware around everything: takes away an id that is none, so that the request gets one.
pub async fn admit_id(mut request: Request, next: Next) -> Response {
    let mut ids = request.headers().get_all(ID).iter();
    let is_one = |id: &HeaderValue| {
        (1..=ID_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if !ids.next().is_some_and(is_one) || ids.next().is_some() {
        request.headers_mut().remove(ID);
    }
    next.run(request).await
}

/// The trace that a request belongs to, for what its handler begins.
#[derive(Debug, Clone, Copy)]
pub struct Traced(pub Option<TraceParent>);

impl<S: Send + Sync> FromRequestParts<S> for Traced {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

/// Middleware: everything that is logged while the request is handled stands in its span, and what is asked of the
/// API begins a trace or goes on with the client's.
pub async fn in_span(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = label_of(request.method());
    let mut traced = begin_trace(&request, method, &route, &id);
    let place = traced.as_ref().and_then(Span::place);
    request.extensions_mut().insert(Traced(place));
    let span = tracing::info_span!(
        "request",
        request_id = id,
        method = %request.method(),
        route,
        trace_id = place.map(|place| place.trace_id()),
    );
    async move {
        let begun = Instant::now();
        let response = next.run(request).await;
        let status = response.status();
        tracing::debug!(status = status.as_u16(), "answered");
        let labels = [("method", method.to_owned()), ("status", status.as_u16().to_string()), ("uri", route)];
        metrics::histogram!("http.server.requests", &labels).record(begun.elapsed());
        if let Some(span) = &mut traced {
            span.set("http.response.status_code", i64::from(status.as_u16()));
            if status.is_server_error() {
                span.fail(status.to_string());
            }
        }
        response
    }
    .instrument(span)
    .await
}

/// A span of the API, named as OpenTelemetry's conventions for HTTP have it
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>). Who looks after the process begins no traces.
fn begin_trace(request: &Request, method: &'static str, route: &str, id: &str) -> Option<Span> {
    if !route.starts_with("/dmf/") {
        return None;
    }
    let parent = traces::parent_of(request.headers());
    let mut span = Span::begin(format!("{method} {route}"), SpanKind::Server, parent);
    span.set("http.request.method", method);
    span.set("http.route", route.to_owned());
    span.set("http.request.header.x-request-id", id.to_owned());
    Some(span)
}

/// A client may invent methods; a label must not grow with them.
fn label_of(method: &Method) -> &'static str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS];
    let names = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
    known.iter().position(|one| one == method).map_or("OTHER", |place| names[place])
}

/// What a panic in a handler becomes: 500, and a line in the log.
#[allow(clippy::needless_pass_by_value, reason = "the signature that tower-http asks for")]
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(panic = text, "a request ended in a panic");
    ApiError::internal().into_response()
}
