//! `GET /backends` and `GET /targets/{target}/backends`

use axum::{Json, extract::State};
use serde_json::Value;

use super::super::targets;
use crate::{
    api::{error::Result, path::Path},
    app::App,
};

/// All workers, by target and name.
pub async fn all(State(app): State<App>) -> Result<Json<Vec<Value>>> {
    Ok(Json(app.store.backends(None).await?.iter().map(super::body).collect()))
}

/// The workers of one target, by name.
pub async fn of_target(State(app): State<App>, Path(target): Path<String>) -> Result<Json<Vec<Value>>> {
    let target = targets::find(&app, &target).await?;
    Ok(Json(app.store.backends(Some(target.id)).await?.iter().map(super::body).collect()))
}
