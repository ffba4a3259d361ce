//! `PUT /sources/{source}/sourcehosts/{host}/pause` and `/resume`

use axum::{Json, extract::State};
use serde_json::Value;

use super::super::sources;
use crate::{
    api::{
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// Nothing new from the source host starts; what runs goes on.
pub async fn pause(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Value>> {
    set(&app, &source, &host, true).await
}

/// Migrations from the source host start again, also when it was suspended after failures.
pub async fn resume(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Value>> {
    set(&app, &source, &host, false).await
}

async fn set(app: &App, source: &str, host: &str, paused: bool) -> Result<Json<Value>> {
    let source = sources::find(app, source).await?;
    let found = super::find(app, &source, host).await?;
    app.store.pause_sourcehost(found.host.id, paused).await?;
    tracing::info!(source = %source.name, host, paused, "source host ordered");
    app.relay.notify_one();
    Ok(Json(super::show(app, &source, host).await.map_err(ApiError::after_change)?))
}
