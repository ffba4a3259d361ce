//! The body of a request as fields.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};
use http_body_util::LengthLimitError;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    audit::Note,
    error::{ApiError, Result},
    fields::Fields,
    v1::Reading,
};

/// Largest body of a request that is not streamed, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Longest time in which a client sends such a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Middleware behind the check of credentials, before all that has a deadline or leaves a trace: reads the
/// whole body. 413 for one over 1 MiB, 408 for one that comes too slowly.
pub async fn read_body(request: Request, next: Next) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let bytes = timeout(BODY_DEADLINE, to_bytes(body, BODY_LIMIT)).await.map_err(|_| {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not come to its end in time")
    })?;
    let bytes = bytes.map_err(|error| {
        let mut causes =
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        if causes.any(<dyn std::error::Error>::is::<LengthLimitError>) {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body must not exceed 1 MiB")
        } else {
            ApiError::bad_request("The body could not be read to its end")
        }
    })?;
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

/// A JSON object from the body, which [`read_body`] has read. 415 for another content type, 400 for what is
/// no JSON object.
pub struct JsonBody(pub Fields);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/json",
            ));
        }
        let reading = request.extensions().get::<Reading>().copied().unwrap_or_default();
        let note = request.extensions().get::<Note>().cloned();
        let bytes = Bytes::from_request(request, state).await.map_err(|_| ApiError::internal())?;
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(Value::Object(mut object)) => {
                reading.complete(&mut object);
                if let Some(note) = note {
                    note.give(&object);
                }
                Ok(Self(Fields::new(object).lenient(reading.lenient)))
            }
            Ok(_) => Err(ApiError::bad_request("The body must be a JSON object")),
            Err(error) => Err(ApiError::bad_request(format!(
                "The body is not valid JSON: {} at line {} column {}",
                category(&error),
                error.line(),
                error.column()
            ))),
        }
    }
}

/// What kind of fault it is; serde's own text could repeat a part of the body, and so a password.
fn category(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends too early" } else { "syntax error" }
}
