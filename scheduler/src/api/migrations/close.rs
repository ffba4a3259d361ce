//! `PUT /users/{sourceUid}/migrations/close/latest/as/{status}`

use axum::{Json, extract::State};
use dmf_shared::{domain::migration::Status, store::Closed};
use serde_json::Value;

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// Closes the newest record of a user at once. A worker that still runs it is told to kill it, its
/// result is refused, and the source host's place is free once the child is dead.
pub async fn close(
    State(app): State<App>,
    Customer(source): Customer,
    Path((source_uid, status)): Path<(String, String)>,
) -> Result<Json<Value>> {
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
