//! What stands in the path of a request.

use std::fmt::Write as _;

use axum::{
    extract::{FromRequestParts, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

use super::error::ApiError;

/// The varying segments of a path, percent-decoded. 400 for what is no UTF-8.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        if rejection.status() == StatusCode::BAD_REQUEST {
            Self::bad_request("The path must be percent-encoded UTF-8")
        } else {
            tracing::error!(%rejection, "a route and its handler disagree on the path");
            Self::internal()
        }
    }
}

/// A text as one segment of a path, percent-encoded byte by byte where it has to be.
pub fn encode(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

/// The `Location` of something that was created.
pub fn location(path: &str) -> HeaderMap {
    HeaderMap::from_iter(HeaderValue::from_str(path).ok().map(|path| (header::LOCATION, path)))
}
