//! `/sources`: the platforms that users are moved from.

pub mod create;
pub mod list;
pub mod pause;
pub mod read;

use axum::Json;
use dmf_shared::store::{Source, SourceView};
use serde_json::{Value, json};

use crate::{
    api::error::{ApiError, Result},
    app::App,
};

/// The Source that a path names; 404 when there is none.
pub(super) async fn find(app: &App, name: &str) -> Result<Source> {
    app.store.source_by_name(name).await?.ok_or_else(|| ApiError::not_found("Source"))
}

/// The Source as it is now, for the answer to a change.
async fn show(app: &App, name: &str) -> Result<Json<Value>> {
    let source = find(app, name).await?;
    Ok(Json(body(&app.store.source_view(source).await?)))
}

fn body(view: &SourceView) -> Value {
    json!({
        "name": view.source.name,
        "paused": view.source.paused,
        "users": view.users,
        "openMigrations": view.open_migrations,
    })
}
