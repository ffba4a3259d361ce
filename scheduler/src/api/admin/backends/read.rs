//! `GET /targets/{target}/backends/{name}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// One worker.
pub async fn read(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let backend = app.store.backend(&target, &name).await?.ok_or_else(|| ApiError::not_found("Backend"))?;
    Ok(Json(super::body(&backend)))
}
