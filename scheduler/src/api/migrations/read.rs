//! `GET /users/{sourceUid}/migrations/{id}`

use axum::{Json, extract::State};

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        openapi::{Answer, Doc, Tag},
        path::Path,
        record::Record,
    },
    app::App,
};

/// What the document says of [`read`].
pub const READ: Doc = Doc {
    id: "readMigration",
    summary: "Show a migration of a user",
    description: "By the id that its submit gave.",
    tag: Tag::Migration,
    query: None,
    body: None,
    answers: &[Answer::json::<Record>(200, "The record.")],
    refuses: &[],
};

/// One record of a user.
pub async fn read(
    State(app): State<App>,
    Customer(source): Customer,
    Path((source_uid, id)): Path<(String, String)>,
) -> Result<Json<Record>> {
    let id = id.parse().map_err(|_| ApiError::not_found("Migration"))?;
    let user = super::find_user(&app, &source, &source_uid).await?;
    super::show(&app, &source, user.id, id).await
}
