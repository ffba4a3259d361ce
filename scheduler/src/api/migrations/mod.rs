//! `/users/…/migrations`: submitting migrations and looking at them.

pub mod bulk;
pub mod cancel;
pub mod close;
pub mod export;
pub mod history;
pub mod latest;
pub mod list;
pub mod prioritize;
mod progress;
pub mod read;
pub mod submit;
pub mod summary;

use axum::Json;
use dmf_shared::{
    domain::{
        ids::{JournalId, UserId},
        migration::Status,
        user::User,
    },
    store::Source,
};

use super::{
    error::{ApiError, Result},
    record::Record,
};
use crate::app::App;

/// The user that a path names, of this Source; a foreign one is as unknown as any.
async fn find_user(app: &App, source: &Source, source_uid: &str) -> Result<User> {
    app.store.user(source, source_uid).await?.ok_or_else(|| ApiError::not_found("User"))
}

/// A record as it is now, for the answer to a change.
async fn show(app: &App, source: &Source, user: UserId, id: JournalId) -> Result<Json<Record>> {
    let found = app.store.record(source, user, id).await?;
    let found = found.ok_or_else(|| ApiError::not_found("Migration"))?;
    Ok(Json(progress::show(app, source, found).await))
}

/// 409: what had ended can't be ended again.
fn has_ended(id: JournalId, status: Status) -> ApiError {
    ApiError::conflict(format!("migration {id} has ended already: {}", status.as_str()))
}
