//! `POST /users`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::Value;

use super::given::{self, Places};
use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        json::JsonBody,
    },
    app::App,
};

/// Creates a user without a migration.
pub async fn create(
    State(app): State<App>,
    Customer(source): Customer,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Value>)> {
    let source_uid = fields.text("sourceUid");
    let source_uid = fields.require("sourceUid", source_uid);
    let user = given::read(&app, &source, &mut Places::default(), source_uid.as_deref(), &mut fields).await?;
    let source_uid = fields.finish(|| source_uid)?;
    app.store.create_user(&source, &source_uid, &user).await.map_err(super::refused)?;
    let shown = super::show(&app, &source, &source_uid).await.map_err(ApiError::after_change)?;
    Ok((StatusCode::CREATED, super::location(&super::path_of(&source_uid)), Json(shown)))
}
