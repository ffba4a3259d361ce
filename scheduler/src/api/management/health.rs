//! `/health` and what load balancers and init systems ask.

use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::api::{
    answer, kind,
    openapi::{Answer, Doc, Tag},
};

/// What the document says of `/health`.
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

/// What the document says of `/health/liveness`.
pub const LIVENESS: Doc = Doc {
    id: "readLiveness",
    summary: "Show whether the scheduler is alive",
    description: "UP as long as anything is answered, also while the database is away.",
    answers: &[Answer::json::<Health>(200, "It is alive.")],
    ..HEALTH
};

/// What the document says of `/health/readiness`.
pub const READINESS: Doc = Doc {
    id: "readReadiness",
    summary: "Show whether the scheduler takes requests",
    description: "UP once it has started, until it is about to end, and while the database is there.",
    answers: &[
        Answer::json::<Health>(200, "It takes requests."),
        Answer::json::<Health>(503, "It does not.").example(r#"{"status": "DOWN"}"#),
    ],
    ..HEALTH
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
