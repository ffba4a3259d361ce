//! `GET /users/{sourceUid}/migrations/{id}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        path::Path,
        record::record,
    },
    app::App,
};

/// One record of a user.
pub async fn read(
    State(app): State<App>,
    Customer(source): Customer,
    Path((source_uid, id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let missing = || ApiError::not_found("Migration");
    let id = id.parse().map_err(|_| missing())?;
    let user = super::find_user(&app, &source, &source_uid).await?;
    let found = app.store.record(&source, user.id, id).await?;
    found.map(|found| Json(record(&found))).ok_or_else(missing)
}
