//! `/health`: UP or DOWN for everybody, the details for the admin.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use dmf_shared::ops::health::Status;
use serde_json::Value;

use super::auth;
use crate::app::App;

/// 200 when UP, 503 when DOWN.
pub async fn health(State(app): State<App>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let report = app.health.check().await;
    let status = match report.status() {
        Status::Up => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(app.health.to_json(&report, auth::is_admin(&app, &headers))))
}
