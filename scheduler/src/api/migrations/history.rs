//! `GET /users/{sourceUid}/migrations`

use axum::{Json, extract::State};

use crate::{
    api::{
        auth::Customer,
        error::Result,
        migrations::progress,
        openapi::{Answer, Doc, Tag},
        path::Path,
        record::Record,
    },
    app::App,
};

/// Most records that one answer holds.
const LIMIT: u32 = 1000;

/// What the document says of [`history`].
pub const HISTORY: Doc = Doc {
    id: "listMigrationsOfUser",
    summary: "List the migrations of a user",
    description: "Newest first.",
    tag: Tag::Migration,
    query: None,
    body: None,
    answers: &[Answer::list::<Record>(200, "The records.")],
    refuses: &[],
};

/// The records of a user, newest first.
pub async fn history(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<Json<Vec<Record>>> {
    let user = super::find_user(&app, &source, &source_uid).await?;
    let records = app.store.history(&source, user.id, LIMIT).await?;
    Ok(Json(progress::show_all(&app, &source, &records).await))
}
