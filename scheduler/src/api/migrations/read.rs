//! `GET /users/{sourceUid}/migrations/{id}`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// One record of a user.
pub async fn read(
    State(app): State<App>,
    Customer(source): Customer,
    Path((source_uid, id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let id = id.parse().map_err(|_| ApiError::not_found("Migration"))?;
    let user = super::find_user(&app, &source, &source_uid).await?;
    super::show(&app, &source, user.id, id).await
}
