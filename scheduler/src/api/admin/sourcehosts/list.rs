//! `GET /sources/{source}/sourcehosts`

use axum::{Json, extract::State};
use serde_json::Value;

use super::super::sources;
use crate::{
    api::{error::Result, path::Path},
    app::App,
};

/// All source hosts of a Source with their use, by name.
pub async fn list(State(app): State<App>, Path(source): Path<String>) -> Result<Json<Vec<Value>>> {
    let source = sources::find(&app, &source).await?;
    let hosts = app.store.sourcehosts(source.id, None).await?;
    let queued = app.store.queued_by_host(&source).await?;
    Ok(Json(hosts.iter().map(|host| super::body(host, &queued)).collect()))
}
