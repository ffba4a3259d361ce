//! `GET /sources`

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
    id: "listSources",
    summary: "List all Sources",
    description: "By name, with counts of users and open migrations.",
    tag: Tag::Source,
    query: None,
    body: None,
    answers: &[Answer::list::<Shown>(200, "All Sources.")],
    refuses: &[],
};

/// All Sources with their counts, by name.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Shown>>> {
    let mut views = Vec::new();
    // Each Source has tables of its own: there is no single statement over all of them.
    for source in app.store.sources().await? {
        views.push(Shown::from(app.store.source_view(source).await?));
    }
    Ok(Json(views))
}
