//! `GET /sources/{source}/sourcehosts`

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

/// What the document says of [`list`].
pub const LIST: Doc = Doc {
    id: "listSourcehosts",
    summary: "List the source hosts of a Source",
    description: "By name, with their use.",
    tag: Tag::Sourcehost,
    query: None,
    body: None,
    answers: &[Answer::list::<Shown>(200, "The source hosts.")],
    refuses: &[],
};

/// All source hosts of a Source with their use, by name.
pub async fn list(State(app): State<App>, Path(source): Path<String>) -> Result<Json<Vec<Shown>>> {
    let source = sources::find(&app, &source).await?;
    let hosts = app.store.sourcehosts(source.id, None).await?;
    let queued = app.store.queued_by_host(&source).await?;
    Ok(Json(hosts.iter().map(|host| Shown::new(host, &queued)).collect()))
}
