//! `POST /sources`

use axum::{Json, extract::State, http::StatusCode};
use dmf_shared::{crypto, domain::ids::SourceName};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    api::{error::Result, json::JsonBody},
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
    let key = super::chosen_key(&mut fields).value();
    let name = fields.finish(|| name)?;
    let key = key.unwrap_or_else(crypto::generate_api_key);
    let key = key.expose_secret();
    let source = app.store.create_source(&name, crypto::hash_api_key(key)).await.map_err(super::conflict)?;
    Ok((StatusCode::CREATED, Json(json!({ "name": source.name, "apiKey": key }))))
}
