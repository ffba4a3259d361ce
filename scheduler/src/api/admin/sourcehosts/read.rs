//! `GET /sources/{source}/sourcehosts/{host}`

use axum::{Json, extract::State};
use serde_json::Value;

use super::super::sources;
use crate::{
    api::{error::Result, path::Path},
    app::App,
};

/// One source host with its use.
pub async fn read(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let source = sources::find(&app, &source).await?;
    Ok(Json(super::show(&app, &source, &host).await?))
}
