//! `DELETE /sources/{source}/sourcehosts/{host}`

use axum::{extract::State, http::StatusCode};

use super::super::sources;
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
    id: "deleteSourcehost",
    summary: "Delete a source host",
    description: "Only one that has neither users nor migrations that are open or being killed.",
    tag: Tag::Sourcehost,
    query: None,
    body: None,
    answers: &[Answer::empty(204, "The source host is deleted.")],
    refuses: &[(409, "The source host has users or open migrations.")],
};

/// Deletes a source host that has neither users nor migrations that are open or being killed.
pub async fn delete(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<StatusCode> {
    let source = sources::find(&app, &source).await?;
    let found = super::find(&app, &source, &host).await?;
    if !app.store.delete_sourcehost(&source, found.host.id).await? {
        return Err(ApiError::conflict("the source host has users or open migrations"));
    }
    tracing::info!(source = %source.name, host, "source host deleted");
    Ok(StatusCode::NO_CONTENT)
}
