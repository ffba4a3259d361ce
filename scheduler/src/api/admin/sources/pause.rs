//! `PUT /sources/{source}/pause` and `/resume`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// Nothing new of the Source starts; what runs goes on.
pub async fn pause(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>> {
    set(&app, &name, true).await
}

/// Migrations of the Source start again.
pub async fn resume(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>> {
    set(&app, &name, false).await
}

async fn set(app: &App, name: &str, paused: bool) -> Result<Json<Value>> {
    let source = super::find(app, name).await?;
    app.store.pause_source(source.id, paused).await?;
    tracing::info!(source = %source.name, paused, "source ordered");
    app.relay.notify_one();
    super::show(app, name).await.map_err(ApiError::after_change)
}
