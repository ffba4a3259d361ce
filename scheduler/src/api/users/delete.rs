//! `DELETE /users/{sourceUid}`

use axum::{extract::State, http::StatusCode};

use crate::{
    api::{auth::Customer, error::Result, path::Path},
    app::App,
};

/// Deletes a user with its records. 409 while a migration is open, or its worker has not ended it yet.
pub async fn delete(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<StatusCode> {
    app.store.delete_user(&source, &source_uid).await.map_err(super::refused)?;
    Ok(StatusCode::NO_CONTENT)
}
