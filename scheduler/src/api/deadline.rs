//! Deadlines of requests: who asks hears soon that the database is away, whatever waits the pool, its locks
//! and its connections allow.

use std::time::Duration;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::error::{ApiError, Result};

/// Longest time for a request once its body is there, and for each step before.
const DEADLINE: Duration = Duration::from_secs(5);

/// Middleware behind the reading of the body: 503 once the time is up. What the request has not committed is
/// rolled back, but for a single submit, which ends by itself in as much time: others may go along with it.
pub async fn answer_in_time(request: Request, next: Next) -> Response {
    in_time(async { Ok(next.run(request).await) }).await.unwrap_or_else(ApiError::into_response)
}

/// The outcome of a step, or 503 when it takes too long.
pub async fn in_time<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(DEADLINE, step).await.unwrap_or_else(|_| {
        tracing::warn!(deadline_secs = DEADLINE.as_secs(), "a request took too long");
        Err(ApiError::unavailable())
    })
}
