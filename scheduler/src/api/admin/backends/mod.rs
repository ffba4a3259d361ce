//! `/backends`: the workers.

pub mod delete;
pub mod list;
pub mod order;
pub mod read;
pub mod update;

use axum::Json;
use dmf_shared::store::{Backend, BackendState};
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, Result},
        record::{object, time},
    },
    app::App,
};

/// A worker that was silent for so long counts as dead here, in milliseconds; the same time after
/// which its leases are.
const SILENCE_MS: u64 = 45_000;

/// The worker that a path names; 404 when there is none.
async fn find(app: &App, target: &str, name: &str) -> Result<Backend> {
    app.store.backend(target, name).await?.ok_or_else(|| ApiError::not_found("Backend"))
}

/// The worker as it is now.
async fn show(app: &App, target: &str, name: &str) -> Result<Json<Value>> {
    Ok(Json(body(&find(app, target, name).await?)))
}

/// Whether the process is thought to live, by its heartbeats and by what it said last.
fn is_alive(backend: &Backend) -> bool {
    backend.silent_ms < SILENCE_MS && backend.actual_state != BackendState::Gone
}

fn body(backend: &Backend) -> Value {
    object([
        ("name", json!(backend.name)),
        ("target", json!(backend.target)),
        ("state", json!(backend.actual_state.as_str())),
        ("wantedState", json!(backend.wanted_state.as_str())),
        ("initialState", json!(backend.initial_state.map(BackendState::as_str))),
        ("threadsInUse", json!(backend.threads_in_use)),
        ("maxThreads", json!(backend.max_threads)),
        ("version", json!(backend.version)),
        ("machine", json!(backend.machine)),
        ("incarnation", json!(backend.incarnation.to_string())),
        ("lastHeartbeat", json!(time(backend.last_heartbeat))),
        ("alive", json!(is_alive(backend))),
    ])
}
