//! `GET /targets/{target}`

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
    id: "readTarget",
    summary: "Show a target",
    description: "Its name and since when it is known.",
    tag: Tag::Target,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The target.")],
    refuses: &[],
};

/// One target.
pub async fn read(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Shown>> {
    Ok(Json(Shown::from(&super::find(&app, &name).await?)))
}
