//! `/backends`: the workers.

pub mod delete;
pub mod list;
pub mod order;
pub mod read;
pub mod update;

use axum::Json;
use dmf_shared::store::{self, BackendState};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    api::{
        answer::is_left_out,
        error::{ApiError, Result},
        kind,
        record::time,
    },
    app::App,
};

/// What a worker may be told to do when it starts.
const INITIAL_STATES: &[&str] = &[BackendState::Running.as_str(), BackendState::Paused.as_str()];
const STATES: &[&str] = &[
    BackendState::Running.as_str(),
    BackendState::Paused.as_str(),
    BackendState::Stopped.as_str(),
    BackendState::Gone.as_str(),
];

/// A worker, as answers show it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backend)]
pub struct Shown {
    name: String,
    target: String,
    #[schema(schema_with = states)]
    state: &'static str,
    #[schema(schema_with = states)]
    wanted_state: &'static str,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = initial_states)]
    initial_state: Option<&'static str>,
    threads_in_use: u32,
    max_threads: u32,
    version: String,
    machine: String,
    #[schema(format = "uuid")]
    incarnation: String,
    #[schema(format = DateTime)]
    last_heartbeat: String,
    alive: bool,
}

fn states() -> RefOr<Schema> {
    kind::one_of(STATES, false)
}

fn initial_states() -> RefOr<Schema> {
    kind::one_of(INITIAL_STATES, true)
}

impl Shown {
    fn of(app: &App, backend: &store::Backend) -> Self {
        Self {
            name: backend.name.clone(),
            target: backend.target.clone(),
            state: backend.actual_state.as_str(),
            wanted_state: backend.wanted_state.as_str(),
            initial_state: backend.initial_state.map(BackendState::as_str),
            threads_in_use: backend.threads_in_use,
            max_threads: backend.max_threads,
            version: backend.version.clone(),
            machine: backend.machine.clone(),
            incarnation: backend.incarnation.to_string(),
            last_heartbeat: time(backend.last_heartbeat),
            alive: is_alive(app, backend),
        }
    }
}

/// The worker that a path names; 404 when there is none.
async fn find(app: &App, target: &str, name: &str) -> Result<store::Backend> {
    app.store.backend(target, name).await?.ok_or_else(|| ApiError::not_found("Backend"))
}

/// The worker as it is now.
async fn show(app: &App, target: &str, name: &str) -> Result<Json<Shown>> {
    Ok(Json(Shown::of(app, &find(app, target, name).await?)))
}

/// Whether the process is thought to live, by its heartbeats and by what it said last.
fn is_alive(app: &App, backend: &store::Backend) -> bool {
    u128::from(backend.silent_ms) < app.silence.as_millis() && backend.actual_state != BackendState::Gone
}
