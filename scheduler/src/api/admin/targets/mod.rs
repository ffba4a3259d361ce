//! `/targets`: the platforms that users are moved into.

pub mod create;
pub mod delete;
pub mod list;
pub mod read;

use dmf_shared::store::Target;
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, Result},
        record::time,
    },
    app::App,
};

/// The target that a path names; 404 when there is none.
pub(super) async fn find(app: &App, name: &str) -> Result<Target> {
    app.store.target_by_name(name).await?.ok_or_else(|| ApiError::not_found("Target"))
}

fn body(target: &Target) -> Value {
    json!({ "name": target.name, "created": time(target.created) })
}
