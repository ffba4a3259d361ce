//! `PUT /users/{sourceUid}`

use axum::{Json, extract::State};
use serde_json::Value;

use super::given::{self, Places};
use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        fields::Given,
        json::JsonBody,
        path::Path,
    },
    app::App,
};

/// Changes the fields that are given; null clears. A migration that waits runs with the new ones.
pub async fn update(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Value>> {
    // A password is sealed for this very uid, and the journal is found by it.
    if !matches!(fields.text("sourceUid"), Given::Absent) {
        fields.refuse("sourceUid", "can't be changed");
    }
    let force = fields.flag("force").value().unwrap_or(false);
    let change = given::read(&app, &source, &mut Places::default(), Some(&source_uid), &mut fields).await?;
    let change = fields.finish(|| Some(change))?;
    app.store.update_user(&source, &source_uid, &change, force).await.map_err(super::refused)?;
    Ok(Json(super::show(&app, &source, &source_uid).await.map_err(ApiError::after_change)?))
}
