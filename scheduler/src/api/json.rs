//! The body of a request as fields.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use serde_json::Value;

use super::{audit::Note, error::ApiError, fields::Fields, v1::Reading};

/// Largest body of a request that is not streamed, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// A JSON object from the body. 415 for another content type, 413 for a body over 1 MiB, 400 for what
/// is no JSON object.
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
        // The router's `DefaultBodyLimit` bounds it.
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body must not exceed 1 MiB")
            } else {
                ApiError::bad_request("The body could not be read to its end")
            }
        })?;
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
