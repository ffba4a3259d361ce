//! `GET /targets`

use axum::{Json, extract::State};

use super::Shown;
use crate::{
    api::{
        error::Result,
        openapi::{Answer, Doc, Tag},
    },
    app::App,
};

/// What the document says of [`list`].
pub const LIST: Doc = Doc {
    id: "listTargets",
    summary: "List all targets",
    description: "By name.",
    tag: Tag::Target,
    query: None,
    body: None,
    answers: &[Answer::list::<Shown>(200, "All targets.")],
    refuses: &[],
};

/// All targets, by name.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Shown>>> {
    Ok(Json(app.store.targets().await?.iter().map(Shown::from).collect()))
}
