//! `GET /sources/{source}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{error::Result, path::Path},
    app::App,
};

/// One Source with its counts.
pub async fn read(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>> {
    super::show(&app, &name).await
}
