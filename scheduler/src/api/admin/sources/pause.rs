//! `PUT /sources/{source}/pause` and `/resume`

use axum::{Json, extract::State};

use super::Shown;
use crate::{
    api::{
        error::{ApiError, Result},
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`pause`].
pub const PAUSE: Doc = Doc {
    id: "pauseSource",
    summary: "Start nothing new of a Source",
    description: "What runs goes on to its end.",
    tag: Tag::Source,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The Source as it is now.")],
    refuses: &[],
};

/// What the document says of [`resume`].
pub const RESUME: Doc = Doc {
    id: "resumeSource",
    summary: "Start migrations of a Source again",
    description: "Undoes a pause.",
    tag: Tag::Source,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The Source as it is now.")],
    refuses: &[],
};

/// Nothing new of the Source starts; what runs goes on.
pub async fn pause(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Shown>> {
    set(&app, &name, true).await
}

/// Migrations of the Source start again.
pub async fn resume(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Shown>> {
    set(&app, &name, false).await
}

async fn set(app: &App, name: &str, paused: bool) -> Result<Json<Shown>> {
    let source = super::find(app, name).await?;
    app.store.pause_source(source.id, paused).await?;
    tracing::info!(source = %source.name, paused, "source ordered");
    app.relay.notify_one();
    Ok(Json(super::show(app, name).await.map_err(ApiError::after_change)?))
}
