//! `/targets`: the platforms that users are moved into.

pub mod create;
pub mod delete;
pub mod list;
pub mod read;

use dmf_shared::store::Target;
use serde::Serialize;
use utoipa::ToSchema;

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

/// A target, as answers show it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub struct Shown {
    name: String,
    #[schema(format = DateTime)]
    created: String,
}

impl From<&Target> for Shown {
    fn from(target: &Target) -> Self {
        Self { name: target.name.clone(), created: time(target.created) }
    }
}
