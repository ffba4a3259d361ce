//! `/health`: UP or DOWN for everybody, the details for the admin.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use dmf_shared::ops::health::Status;
use serde_json::Value;

use super::{auth, error::Result};
use crate::app::App;

/// 200 when UP, 503 when DOWN.
pub async fn health(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<Value>)> {
    let in_full = auth::is_admin_here(&app, &request)?;
    let report = app.health.check().await;
    let status = match report.status() {
        Status::Up => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(app.health.to_json(&report, in_full))))
}
