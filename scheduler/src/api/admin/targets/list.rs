//! `GET /targets`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{api::error::Result, app::App};

/// All targets, by name.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Value>>> {
    Ok(Json(app.store.targets().await?.iter().map(super::body).collect()))
}
