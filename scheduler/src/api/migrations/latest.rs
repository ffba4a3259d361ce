//! `GET /users/{sourceUid}/migrations/latest`

use axum::{Json, extract::State};

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        migrations::progress,
        openapi::{Answer, Doc, Tag},
        path::Path,
        record::Record,
    },
    app::App,
};

/// What the document says of [`latest`].
pub const LATEST: Doc = Doc {
    id: "readLatestMigration",
    summary: "Show the newest migration of a user",
    description: "With the reason of a failure in details.",
    tag: Tag::Migration,
    query: None,
    body: None,
    answers: &[Answer::json::<Record>(200, "The record.")],
    refuses: &[],
};

/// The newest record of a user.
pub async fn latest(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<Json<Record>> {
    let user = super::find_user(&app, &source, &source_uid).await?;
    let latest = app.store.latest_record(&source, user.id).await?;
    let latest = latest.ok_or_else(|| ApiError::not_found("Migration"))?;
    Ok(Json(progress::show(&app, &source, latest).await))
}
