//! `POST /targets`

use axum::{Json, extract::State, http::StatusCode};
use serde_json::Value;

use crate::{
    api::{
        error::{ApiError, Result},
        json::JsonBody,
    },
    app::App,
};

/// Creates a target. The first worker of a target does the same by itself.
pub async fn create(
    State(app): State<App>,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, Json<Value>)> {
    let name = fields.name("name", 64);
    let name = fields.require("name", name);
    let name = fields.finish(|| name)?;
    let target = app.store.create_target(&name).await.map_err(|error| {
        if error.is_conflict_on("targets_name") {
            ApiError::conflict("name: a target of this name exists")
        } else {
            error.into()
        }
    })?;
    Ok((StatusCode::CREATED, Json(super::body(&target))))
}
