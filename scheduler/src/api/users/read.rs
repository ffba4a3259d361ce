//! `GET /users/{sourceUid}`

use axum::{Json, extract::State};

use super::Shown;
use crate::{
    api::{
        auth::Customer,
        error::Result,
        openapi::{Answer, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`read`].
pub const READ: Doc = Doc {
    id: "readUser",
    summary: "Show a user",
    description: "The password is never shown.",
    tag: Tag::User,
    query: None,
    body: None,
    answers: &[Answer::json::<Shown>(200, "The user.")],
    refuses: &[],
};

/// One user.
pub async fn read(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<Json<Shown>> {
    Ok(Json(super::show(&app, &source, &source_uid).await?))
}
