//! `DELETE /targets/{target}/backends/{name}`

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
    id: "deleteBackend",
    summary: "Delete a worker",
    description: "Only one that is not alive. When it starts again it registers itself anew.",
    tag: Tag::Backend,
    query: None,
    body: None,
    answers: &[Answer::empty(204, "The worker is deleted.")],
    refuses: &[(409, "The worker is alive, or its last migrations are not taken back yet.")],
};

/// Deletes a worker that is not alive. When it starts again, it registers itself anew.
pub async fn delete(
    State(app): State<App>,
    Path((target, name)): Path<(String, String)>,
) -> Result<StatusCode> {
    let backend = super::find(&app, &target, &name).await?;
    if super::is_alive(&app, &backend) {
        return Err(ApiError::conflict("the backend is alive"));
    }
    if !app.store.delete_backend(&backend).await? {
        return Err(ApiError::conflict(
            "the backend is alive again, or its last migrations are not taken back yet",
        ));
    }
    tracing::info!(target, name, "backend deleted");
    Ok(StatusCode::NO_CONTENT)
}
