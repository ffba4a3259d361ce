//! What stands in the path of a request.

use axum::{
    extract::{FromRequestParts, rejection::PathRejection},
    http::StatusCode,
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
