//! How long the URI of a request may be.

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::error::ApiError;

/// Longest path with its query, in bytes: more than ten times what the longest `sourceUid` or cursor needs.
const LONGEST: usize = 8 * 1024;

/// Middleware: 414 for a longer one. One that does not even fit into `dmf.http.max-header-size` is answered with
/// 431 before.
pub async fn refuse_too_long(request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |asked| asked.as_str().len());
    if length > LONGEST {
        return ApiError::new(StatusCode::URI_TOO_LONG, "The URI must not exceed 8 KiB").into_response();
    }
    next.run(request).await
}
