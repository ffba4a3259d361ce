//! `DELETE /targets/{target}`

use axum::{extract::State, http::StatusCode};

use crate::{
    api::{
        error::{ApiError, Result},
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`delete`].
pub const DELETE: Doc = Doc {
    id: "deleteTarget",
    summary: "Delete a target",
    description: "Only one that has neither workers nor users.",
    tag: Tag::Target,
    query: None,
    body: None,
    answers: &[Answer::empty(204, "The target is deleted.")],
    refuses: &[(409, "The target has workers or users.")],
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
