//! `/users/…/migrations`: submitting migrations and looking at them.

pub mod close;
pub mod history;
pub mod latest;
pub mod read;
pub mod submit;

use dmf_shared::{domain::user::User, store::Source};

use super::error::{ApiError, Result};
use crate::app::App;

/// The user that a path names, of this Source; a foreign one is as unknown as any.
async fn find_user(app: &App, source: &Source, source_uid: &str) -> Result<User> {
    app.store.user(source, source_uid).await?.ok_or_else(|| ApiError::not_found("User"))
}
