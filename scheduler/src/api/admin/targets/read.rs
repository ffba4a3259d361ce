//! `GET /targets/{target}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{error::Result, path::Path},
    app::App,
};

/// One target.
pub async fn read(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>> {
    Ok(Json(super::body(&super::find(&app, &name).await?)))
}
