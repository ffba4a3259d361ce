//! `PUT /users/{sourceUid}/migrations/close/latest/as/{status}`

use axum::{Json, extract::State};
use dmf_shared::{domain::migration::Status, store::Closed};

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

/// What the document says of [`close`].
pub const CLOSE: Doc = Doc {
    id: "closeLatestMigration",
    summary: "Close the newest migration of a user",
    description: "The record is closed at once. A worker that still runs it is told to kill it, its result is refused, and the place at the source host is free once the child is dead.",
    tag: Tag::Migration,
    query: None,
    body: None,
    answers: &[Answer::json::<Record>(200, "The record as it is now.")],
    refuses: &[
        (400, "The status is none that a migration can be closed as."),
        (409, "The migration has ended already."),
    ],
};

/// Closes the newest record of a user at once. A worker that still runs it is told to kill it, its
/// result is refused, and the source host's place is free once the child is dead.
pub async fn close(
    State(app): State<App>,
    Customer(source): Customer,
    Path((source_uid, status)): Path<(String, String)>,
) -> Result<Json<Record>> {
    let status = match &status[..] {
        "ABORTED" => Status::Aborted,
        "FAILURE" | "FAILED" => Status::Failure,
        "SUCCESS" => Status::Success,
        _ => return Err(ApiError::bad_request("status: must be one of ABORTED, FAILURE, SUCCESS")),
    };
    let user = super::find_user(&app, &source, &source_uid).await?;
    let id = match app.store.close_latest(&source, user.id, status).await? {
        Closed::Done(id) => id,
        Closed::AlreadyEnded(id, status) => return Err(super::has_ended(id, status)),
        Closed::Nothing => return Err(ApiError::not_found("Migration")),
    };
    tracing::info!(migration = %id, status = status.as_str(), "closed by request");
    app.relay.notify_one();
    super::show(&app, &source, user.id, id).await.map_err(ApiError::after_change)
}
