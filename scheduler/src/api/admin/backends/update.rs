//! `PUT /targets/{target}/backends/{name}`

use axum::{Json, extract::State};
use dmf_shared::store::BackendState;

use super::{INITIAL_STATES, Shown};
use crate::{
    api::{
        error::{ApiError, Result},
        fields::{Fields, Given},
        json::JsonBody,
        kind::Kind,
        openapi::{Answer, Body, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// Most migrations that a worker may be told to run at a time.
const MAX_THREADS: u32 = 10_000;

/// What the document says of [`update`].
pub const UPDATE: Doc = Doc {
    id: "updateBackend",
    summary: "Change what a worker does",
    description: "It follows within one heartbeat. Null goes back to its own configuration.",
    tag: Tag::Backend,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Shown>(200, "The worker as it is now.")],
    refuses: &[],
};

/// Changes what a worker does when it starts, and how many migrations it runs at a time; null goes back
/// to its own configuration. It follows within one heartbeat.
pub async fn update(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Shown>> {
    let backend = super::find(&app, &target, &name).await?;
    let given = read(&mut fields);
    let (initial_state, max_threads) = fields.finish(|| Some(given))?;
    let (initial_state, max_threads) = (initial_state.nested(), max_threads.nested());
    app.store.configure_backend(backend.id, initial_state, max_threads).await?;
    tracing::info!(target, name, "backend configured");
    app.relay.notify_one();
    super::show(&app, &target, &name).await.map_err(ApiError::after_change)
}

fn read(fields: &mut Fields) -> (Given<BackendState>, Given<u32>) {
    let initial_state = fields.parsed("initialState", Kind::OneOf(INITIAL_STATES), |text| {
        [BackendState::Running, BackendState::Paused].into_iter().find(|state| state.as_str() == text)
    });
    (initial_state, fields.number("maxThreads", 1, MAX_THREADS))
}
