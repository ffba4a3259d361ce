//! `PUT /targets/{target}/backends/{name}/start`, `/pause` and `/stop`

use axum::{Json, extract::State};
use dmf_shared::store::BackendState;

use super::Shown;
use crate::{
    api::{
        error::{ApiError, Result},
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`start`].
pub const START: Doc = Doc {
    id: "startBackend",
    summary: "Let a worker lease migrations",
    description: "It follows within one heartbeat.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The worker as it is now.")],
    refuses: &[],
};

/// What the document says of [`pause`].
pub const PAUSE: Doc = Doc {
    id: "pauseBackend",
    summary: "Let a worker lease nothing new",
    description: "What runs goes on to its end.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The worker as it is now.")],
    refuses: &[],
};

/// What the document says of [`stop`].
pub const STOP: Doc = Doc {
    id: "stopBackend",
    summary: "Stop a worker",
    description: "It leases nothing, kills what runs and hands it back, so that others take it.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The worker as it is now.")],
    refuses: &[],
};

/// The worker leases migrations.
pub async fn start(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    order(&app, &target, &name, BackendState::Running).await
}

/// The worker leases nothing and finishes what runs.
pub async fn pause(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    order(&app, &target, &name, BackendState::Paused).await
}

/// The worker leases nothing, kills what runs and hands it back.
pub async fn stop(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Shown>> {
    order(&app, &target, &name, BackendState::Stopped).await
}

async fn order(app: &App, target: &str, name: &str, wanted: BackendState) -> Result<Json<Shown>> {
    let backend = super::find(app, target, name).await?;
    app.store.set_wanted_state(backend.id, wanted).await?;
    tracing::info!(target, name, wanted = wanted.as_str(), "backend ordered");
    app.relay.notify_one();
    super::show(app, target, name).await.map_err(ApiError::after_change)
}
