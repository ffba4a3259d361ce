//! `GET /backends` and `GET /targets/{target}/backends`

use super::{super::targets, Shown};
use crate::{
    api::{
        error::Result,
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};
use axum::{Json, extract::State};

/// What the document says of [`all`].
pub const ALL: Doc = Doc {
    id: "listBackends",
    summary: "List all workers",
    description: "Of all targets, by target and name.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::list::<Shown>(200, "All workers.")],
    refuses: &[],
};

/// What the document says of [`of_target`].
pub const OF_TARGET: Doc = Doc {
    id: "listBackendsOfTarget",
    summary: "List the workers of a target",
    description: "By name.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::list::<Shown>(200, "The workers.")],
    refuses: &[],
};

/// All workers, by target and name.
pub async fn all(State(app): State<App>) -> Result<Json<Vec<Shown>>> {
    Ok(Json(app.store.backends(None).await?.iter().map(|backend| Shown::of(&app, backend)).collect()))
}

/// The workers of one target, by name.
pub async fn of_target(State(app): State<App>, Path(target): Path<String>) -> Result<Json<Vec<Shown>>> {
    let target = targets::find(&app, &target).await?;
    Ok(Json(
        app.store.backends(Some(target.id)).await?.iter().map(|backend| Shown::of(&app, backend)).collect(),
    ))
}
