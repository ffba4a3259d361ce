//! `GET /targets/{target}/backends/{name}`

use axum::{Json, extract::State};

use super::Shown;
use crate::{
    api::{
        error::Result,
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`read`].
pub const READ: Doc = Doc {
    id: "readBackend",
    summary: "Show a worker",
    description: "Its state, what is wanted of it, and when it was last heard of.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The worker.")],
    refuses: &[],
};

/// One worker.
pub async fn read(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    super::show(&app, &target, &name).await
}
