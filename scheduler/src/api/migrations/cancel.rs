//! `POST /users/{sourceUid}/migrations/latest/cancel`

use axum::{Json, extract::State, http::StatusCode};
use dmf_shared::store::Cancelled;

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

/// What the document says of [`cancel`].
pub const CANCEL: Doc = Doc {
    id: "cancelLatestMigration",
    summary: "Cancel the newest migration of a user",
    description: "A waiting one is ABORTED at once, a running one is killed and ABORTED then.",
    tag: Tag::Migration,
    query: None,
    body: None,
    answers: &[Answer::json::<Record>(202, "The record as it is now.")],
    refuses: &[(409, "The migration has ended already.")],
};

/// Cancels the newest migration of a user: a waiting one is ABORTED at once, a running one is killed and
/// ABORTED then. 202 with the record as it is now.
pub async fn cancel(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
) -> Result<(StatusCode, Json<Record>)> {
    let user = super::find_user(&app, &source, &source_uid).await?;
    let id = match app.store.cancel_latest(&source, user.id).await? {
        Cancelled::Done(id) | Cancelled::Requested(id) => id,
        Cancelled::AlreadyEnded(id, status) => return Err(super::has_ended(id, status)),
        Cancelled::Nothing => return Err(ApiError::not_found("Migration")),
    };
    tracing::info!(migration = %id, "cancelled by request");
    app.relay.notify_one();
    let shown = super::show(&app, &source, user.id, id).await.map_err(ApiError::after_change)?;
    Ok((StatusCode::ACCEPTED, shown))
}
