//! `GET /sources/{source}/sourcehosts/{host}`

use axum::{Json, extract::State};
use serde_json::Value;

use super::super::sources;
use crate::{
    api::{
        error::{ApiError, Result},
        path::Path,
    },
    app::App,
};

/// One source host with its use.
pub async fn read(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let source = sources::find(&app, &source).await?;
    let hosts = app.store.sourcehosts(source.id, Some(&host)).await?;
    hosts.first().map(|host| Json(super::body(host))).ok_or_else(|| ApiError::not_found("Source host"))
}
