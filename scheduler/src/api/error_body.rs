//! The body of an error as the document describes it; `ops::http::problem` writes it.

use utoipa::ToSchema;

/// What every refusal holds, as the original's framework shapes it.
#[derive(Debug, ToSchema)]
#[schema(as = Error)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct ErrorBody {
    message: String,
    #[schema(rename = "_links")]
    links: ErrorLinks,
    #[schema(rename = "_embedded")]
    embedded: ErrorDetails,
}

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
struct ErrorLinks {
    #[schema(rename = "self")]
    itself: ErrorLink,
}

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
struct ErrorLink {
    href: String,
    templated: bool,
}

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
struct ErrorDetails {
    errors: Vec<ErrorDetail>,
}

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
struct ErrorDetail {
    message: String,
}
