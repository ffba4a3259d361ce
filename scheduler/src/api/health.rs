//! `/health`: UP or DOWN for everybody, the details for the admin.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use dmf_shared::ops::health::Status;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    answer, auth,
    error::Result,
    kind,
    openapi::{Answer, Doc, Tag},
};
use crate::app::App;

/// What the document says of [`health`].
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

/// 200 when UP, 503 when DOWN.
pub async fn health(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<Value>)> {
    let in_full = auth::is_admin_here(&app, &request)?;
    let report = app.health.check().await;
    let status = match report.status() {
        Status::Up => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(app.health.to_json(&report, in_full))))
}
