//! `GET /sources/{source}`

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
    id: "readSource",
    summary: "Show a Source",
    description: "With counts of users and open migrations.",
    tag: Tag::Source,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The Source.")],
    refuses: &[],
};

/// One Source with its counts.
pub async fn read(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Shown>> {
    Ok(Json(super::show(&app, &name).await?))
}
