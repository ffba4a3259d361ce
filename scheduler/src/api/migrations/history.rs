//! `GET /users/{sourceUid}/migrations`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{auth::Customer, error::Result, path::Path, record::record},
    app::App,
};

/// Most records that one answer holds.
const LIMIT: u32 = 1000;

/// The records of a user, newest first.
pub async fn history(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<Json<Vec<Value>>> {
    let user = super::find_user(&app, &source, &source_uid).await?;
    Ok(Json(app.store.history(&source, user.id, LIMIT).await?.iter().map(record).collect()))
}
