//! Nothing is served before the database schema is there.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::error::{ApiError, Result};
use crate::app::App;

/// Middleware behind the check of credentials: 503 while the schema is brought up to date.
pub async fn require_schema(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    if app.schema.is_ready() { Ok(next.run(request).await) } else { Err(ApiError::unavailable()) }
}
