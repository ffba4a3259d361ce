//! A deadline for every request: who asks hears soon that the database is away, whatever waits the pool,
//! its locks and its connections allow.

use std::time::Duration;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::error::ApiError;

/// Longest time for a request, the reading of its body included.
const DEADLINE: Duration = Duration::from_secs(5);

/// Middleware: 503 once the time is up. What the request has not committed is rolled back.
pub async fn answer_in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| {
        tracing::warn!(deadline_secs = DEADLINE.as_secs(), "a request took too long");
        ApiError::unavailable().into_response()
    })
}
