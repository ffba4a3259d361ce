//! `PUT /targets/{target}/backends/{name}/start`, `/pause` and `/stop`

use axum::{Json, extract::State};
use dmf_shared::store::BackendState;
use serde_json::Value;

use crate::{
    api::{
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// The worker leases migrations.
pub async fn start(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    order(&app, &target, &name, BackendState::Running).await
}

/// The worker leases nothing and finishes what runs.
pub async fn pause(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    order(&app, &target, &name, BackendState::Paused).await
}

/// The worker leases nothing, kills what runs and hands it back.
pub async fn stop(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    order(&app, &target, &name, BackendState::Stopped).await
}

async fn order(app: &App, target: &str, name: &str, wanted: BackendState) -> Result<Json<Value>> {
    let backend = super::find(app, target, name).await?;
    app.store.set_wanted_state(backend.id, wanted).await?;
    tracing::info!(target, name, wanted = wanted.as_str(), "backend ordered");
    app.relay.notify_one();
    super::show(app, target, name).await.map_err(ApiError::after_change)
}
