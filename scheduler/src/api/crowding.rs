//! How many requests are answered at a time, so that a crowd of them takes no more memory and connections of
//! the database than there are. Who comes beyond that is told to come again.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use dmf_shared::config::Reader;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ApiError, Result};
use crate::app::App;

/// How long who found no room should wait, in seconds.
const RETRY_AFTER_SECS: u64 = 1;
/// The same for a bulk submit, which takes longer.
const BULK_RETRY_AFTER_SECS: u64 = 15;

/// How many there may be at a time.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Requests of all kinds, but for those to the management endpoints.
    pub requests: usize,
    /// Bulk submits among them.
    pub bulks: usize,
}

impl Settings {
    /// Reads `dmf.http.max-requests` and `dmf.http.max-bulk-requests`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            requests: reader.number("dmf.http.max-requests", 512, 1..=100_000),
            bulks: reader.number("dmf.http.max-bulk-requests", 8, 1..=10_000),
        }
    }
}

/// The room that is left. Every scheduler counts for itself.
#[derive(Debug)]
pub struct Room {
    requests: Arc<Semaphore>,
    bulks: Arc<Semaphore>,
}

impl Room {
    /// All of it.
    pub fn new(settings: Settings) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(settings.requests)),
            bulks: Arc::new(Semaphore::new(settings.bulks)),
        }
    }
}

/// Middleware around all routes: 503 when there is no room. Whoever watches this scheduler is heard all the
/// same.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    if app.access.is_endpoint(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let place = place(&app.room.requests, RETRY_AFTER_SECS)?;
    Ok(hold(place, next.run(request).await))
}

/// Middleware behind the check of credentials for bulk submits: the same for them alone.
pub async fn admit_bulk(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    let place = place(&app.room.bulks, BULK_RETRY_AFTER_SECS)?;
    Ok(hold(place, next.run(request).await))
}

fn place(room: &Arc<Semaphore>, retry_after_secs: u64) -> Result<OwnedSemaphorePermit> {
    Arc::clone(room).try_acquire_owned().map_err(|_| {
        tracing::debug!("too many requests are being answered");
        ApiError::crowded(retry_after_secs)
    })
}

/// The place is free again once the answer is written, or nobody waits for it any more.
fn hold(place: OwnedSemaphorePermit, answer: Response) -> Response {
    answer.map(|body| Body::new(Placed { body, _place: place }))
}

/// The body of an answer that takes a place.
struct Placed {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
