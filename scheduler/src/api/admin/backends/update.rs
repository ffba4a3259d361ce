//! `PUT /targets/{target}/backends/{name}`

use axum::{Json, extract::State};
use dmf_shared::store::BackendState;
use serde_json::Value;

use crate::{
    api::{
        error::{ApiError, Result},
        json::JsonBody,
        path::Path,
    },
    app::App,
};

/// Most migrations that a worker may be told to run at a time.
const MAX_THREADS: u32 = 10_000;

/// Changes what a worker does when it starts, and how many migrations it runs at a time; null goes back
/// to its own configuration. It follows within one heartbeat.
pub async fn update(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Value>> {
    let backend = super::find(&app, &target, &name).await?;
    let initial_state = fields.parsed("initialState", "RUNNING or PAUSED", |text| match text {
        "RUNNING" => Some(BackendState::Running),
        "PAUSED" => Some(BackendState::Paused),
        _ => None,
    });
    let max_threads = fields.number("maxThreads", 1, MAX_THREADS);
    let (initial_state, max_threads) =
        fields.finish(|| Some((initial_state.nested(), max_threads.nested())))?;
    app.store.configure_backend(backend.id, initial_state, max_threads).await?;
    tracing::info!(target, name, "backend configured");
    app.relay.notify_one();
    super::show(&app, &target, &name).await.map_err(ApiError::after_change)
}
