//! `/health` as the document describes it; what answers is in `ops::http::management`.

use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    answer, kind,
    openapi::{Answer, Doc, Tag},
};
/// What the document says of it.
pub const HEALTH: Doc = Doc {
    id: "readHealth",
    summary: "Show whether the scheduler is healthy",
    description: "UP or DOWN for everybody; the admin is shown every part.",
    tag: Tag::Management,
    query: None,
    body: None,
    answers: &[
        Answer::json::<Health>(200, "UP: it works, and so does all that it needs."),
        Answer::json::<Health>(503, "DOWN.").example(r#"{"status": "DOWN"}"#),
    ],
    refuses: &[],
};

/// A health report. What it holds is made by the health indicators; this describes it.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Health {
    #[schema(schema_with = status)]
    status: String,
    name: Option<String>,
    #[schema(schema_with = answer::free_object)]
    details: Option<Value>,
}

fn status() -> RefOr<Schema> {
    kind::one_of(&["UP", "DOWN"], false)
}
