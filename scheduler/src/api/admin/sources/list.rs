//! `GET /sources`

use axum::{Json, extract::State};
use serde_json::Value;

use crate::{api::error::Result, app::App};

/// All Sources with their counts, by name.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Value>>> {
    let mut views = Vec::new();
    // Each Source has tables of its own: there is no single statement over all of them.
    for source in app.store.sources().await? {
        views.push(super::body(&app.store.source_view(source).await?));
    }
    Ok(Json(views))
}
