//! `GET /targets/{target}/backends/{name}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{error::Result, path::Path},
    app::App,
};

/// One worker.
pub async fn read(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    super::show(&app, &target, &name).await
}
