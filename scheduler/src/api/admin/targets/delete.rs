//! `DELETE /targets/{target}`

use axum::{extract::State, http::StatusCode};

use crate::{
    api::{
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// Deletes a target that has neither workers nor users.
pub async fn delete(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode> {
    let target = super::find(&app, &name).await?;
    if !app.store.delete_target(target.id).await? {
        return Err(ApiError::conflict("the target has backends or users"));
    }
    tracing::info!(target = name, "target deleted");
    Ok(StatusCode::NO_CONTENT)
}
