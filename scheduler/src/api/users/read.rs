//! `GET /users/{sourceUid}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{auth::Customer, error::Result, path::Path},
    app::App,
};

/// One user.
pub async fn read(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<Json<Value>> {
    Ok(Json(super::show(&app, &source, &source_uid).await?))
}
