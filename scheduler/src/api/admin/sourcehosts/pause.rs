//! `PUT /sources/{source}/sourcehosts/{host}/pause` and `/resume`

use axum::{Json, extract::State};

use super::{super::sources, Shown};
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
    id: "pauseSourcehost",
    summary: "Start nothing new from a source host",
    description: "What runs goes on to its end.",
    tag: Tag::Sourcehost,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The source host as it is now.")],
    refuses: &[],
};

/// What the document says of [`resume`].
pub const RESUME: Doc = Doc {
    id: "resumeSourcehost",
    summary: "Start migrations from a source host again",
    description: "Undoes a pause, and the suspension after failures.",
    tag: Tag::Sourcehost,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The source host as it is now.")],
    refuses: &[],
};

/// Nothing new from the source host starts; what runs goes on.
pub async fn pause(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    set(&app, &source, &host, true).await
}

/// Migrations from the source host start again, also when it was suspended after failures.
pub async fn resume(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    set(&app, &source, &host, false).await
}

async fn set(app: &App, source: &str, host: &str, paused: bool) -> Result<Json<Shown>> {
    let source = sources::find(app, source).await?;
    let found = super::find(app, &source, host).await?;
    app.store.pause_sourcehost(found.host.id, paused).await?;
    tracing::info!(source = %source.name, host, paused, "source host ordered");
    app.relay.notify_one();
    Ok(Json(super::show(app, &source, host).await.map_err(ApiError::after_change)?))
}
