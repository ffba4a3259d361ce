//! `/info`

use utoipa::ToSchema;

use crate::api::openapi::{Answer, Doc, Tag};

/// What the document says of it.
pub const INFO: Doc = Doc {
    id: "readInfo",
    summary: "Show what runs here",
    description: "Name and version of the program, and the revision of its source where the build knew it.",
    tag: Tag::Management,
    query: None,
    body: None,
    answers: &[Answer::json::<Info>(200, "The program.")],
    refuses: &[],
};

/// What the process tells of itself.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Info {
    build: Build,
}

/// The program.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Build {
    name: String,
    version: String,
    revision: Option<String>,
}
