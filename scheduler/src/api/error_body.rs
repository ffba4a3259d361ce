//! The body of an error, as the original's framework shapes it.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// What every refusal holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    message: String,
    #[serde(rename = "_links")]
    links: ErrorLinks,
    #[serde(rename = "_embedded")]
    embedded: ErrorDetails,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorLinks {
    #[serde(rename = "self")]
    itself: ErrorLink,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorLink {
    href: String,
    templated: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetails {
    errors: Vec<ErrorDetail>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    message: String,
}

impl ErrorBody {
    /// For a request to `path` that got `status` since `errors` were wrong.
    pub fn new(status: StatusCode, path: &str, errors: &[String]) -> Self {
        let details = errors.iter().map(|message| ErrorDetail { message: message.clone() });
        Self {
            message: status.canonical_reason().unwrap_or("Error").to_owned(),
            links: ErrorLinks { itself: ErrorLink { href: path.to_owned(), templated: false } },
            embedded: ErrorDetails { errors: details.collect() },
        }
    }
}
