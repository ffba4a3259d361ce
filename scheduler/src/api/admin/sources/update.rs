//! `PUT /sources/{source}`

use axum::{Json, extract::State};
use dmf_shared::crypto;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, Result},
        fields::Given,
        json::JsonBody,
        path::Path,
    },
    app::App,
};

/// Most requests a second that a limit may allow.
const MAX_RATE: u32 = 100_000;

/// Gives a Source another API key or rate limit. The old key is void at once; `apiKey: null` makes a new
/// one, and the answer holds it, this once.
pub async fn update(
    State(app): State<App>,
    Path(name): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Value>> {
    let source = super::find(&app, &name).await?;
    let key = match super::chosen_key(&mut fields) {
        Given::Null => Some(crypto::generate_api_key()),
        given => given.value(),
    };
    let rate_limit = fields.number("rateLimit", 0, MAX_RATE).nested();
    fields.finish(|| Some(()))?;
    let hash = key.as_ref().map(|key| crypto::hash_api_key(key.expose_secret()));
    app.store.update_source(source.id, hash, rate_limit).await.map_err(super::conflict)?;
    tracing::info!(source = %source.name, rotated = key.is_some(), ?rate_limit, "source changed");
    let Json(mut shown) = super::show(&app, &name).await.map_err(ApiError::after_change)?;
    if let Some(key) = key {
        shown["apiKey"] = json!(key.expose_secret());
    }
    Ok(Json(shown))
}
