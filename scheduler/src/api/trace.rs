//! One span for each request, with the request id that the answer carries, and what a panic becomes.

use std::{any::Any, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse as _, Response},
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

/// Middleware: everything that is logged while the request is handled stands in its span.
pub async fn in_span(request: Request, next: Next) -> Response {
    let id = request.headers().get(ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!("request", request_id = %id, method = %request.method(), route);
    let (method, uri) = (label_of(request.method()), route.to_owned());
    async move {
        let begun = Instant::now();
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::debug!(status, "answered");
        let labels = [("method", method.to_owned()), ("status", status.to_string()), ("uri", uri)];
        metrics::histogram!("http.server.requests", &labels).record(begun.elapsed());
        response
    }
    .instrument(span)
    .await
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
