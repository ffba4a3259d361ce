//! `DELETE /users/{sourceUid}`

use axum::{extract::State, http::StatusCode};

use crate::{
    api::{
        auth::Customer,
        error::Result,
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`delete`].
pub const DELETE: Doc = Doc {
    id: "deleteUser",
    summary: "Delete a user",
    description: "With its records.",
    tag: Tag::User,
    query: None,
    body: None,
    answers: &[Answer::empty(204, "The user is deleted.")],
    refuses: &[(409, "A migration of the user is open, or its worker has not ended it yet.")],
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
