//! `GET /sources/{source}/sourcehosts/{host}`

use axum::{Json, extract::State};

use super::{super::sources, Shown};
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
    id: "readSourcehost",
    summary: "Show a source host",
    description: "With its use.",
    tag: Tag::Sourcehost,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The source host.")],
    refuses: &[],
};

/// One source host with its use.
pub async fn read(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    let source = sources::find(&app, &source).await?;
    Ok(Json(super::show(&app, &source, &host).await?))
}
