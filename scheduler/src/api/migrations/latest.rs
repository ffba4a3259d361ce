//! `GET /users/{sourceUid}/migrations/latest`

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

/// The newest record of a user.
pub async fn latest(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<Json<Value>> {
    let user = super::find_user(&app, &source, &source_uid).await?;
    let latest = app.store.latest_record(&source, user.id).await?;
    latest.map(|latest| Json(record(&latest))).ok_or_else(|| ApiError::not_found("Migration"))
}
