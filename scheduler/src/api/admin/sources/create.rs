//! `POST /sources`

use axum::{Json, extract::State, http::StatusCode};
use dmf_shared::{crypto, domain::ids::SourceName, store};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, Result},
        json::JsonBody,
    },
    app::App,
};

/// Creates a Source with its tables. The answer holds the API key, this once: it is stored hashed.
pub async fn create(
    State(app): State<App>,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, Json<Value>)> {
    let name = fields
        .parsed("name", "a text that matches [a-zA-Z0-9_]{1,48}", |text| text.parse::<SourceName>().ok());
    let name = fields.require("name", name);
    let key = fields.secret("apiKey").value();
    let is_weak = |key: &str| key.len() < 16 || !key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.as_ref().is_some_and(|key| is_weak(key.expose_secret())) {
        fields.refuse("apiKey", "must be 16 to 1024 visible ASCII characters");
    }
    let name = fields.finish(|| name)?;
    let key = key.unwrap_or_else(crypto::generate_api_key);
    let key = key.expose_secret();
    let source = app.store.create_source(&name, crypto::hash_api_key(key)).await.map_err(conflict)?;
    Ok((StatusCode::CREATED, Json(json!({ "name": source.name, "apiKey": key }))))
}

fn conflict(error: store::Error) -> ApiError {
    if error.is_conflict_on("sources_name") {
        ApiError::conflict("name: a Source of this name exists (names are compared without case)")
    } else if error.is_conflict_on("sources_api_key_hash") {
        ApiError::conflict("apiKey: another Source has this key")
    } else {
        error.into()
    }
}
