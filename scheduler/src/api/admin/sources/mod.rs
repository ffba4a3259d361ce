//! `/sources`: the platforms that users are moved from.

pub mod create;
pub mod delete;
pub mod list;
pub mod pause;
pub mod read;
pub mod update;

use axum::Json;
use dmf_shared::store::{self, Source, SourceView};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, Result},
        fields::{Fields, Given},
        record::object,
    },
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
    object([
        ("name", json!(view.source.name)),
        ("paused", json!(view.source.paused)),
        ("users", json!(view.users)),
        ("openMigrations", json!(view.open_migrations)),
        ("rateLimit", json!(view.rate_limit)),
    ])
}

/// An API key that a client chooses; too weak a one is refused.
fn chosen_key(fields: &mut Fields) -> Given<SecretString> {
    let key = fields.secret("apiKey");
    let is_weak = |key: &str| key.len() < 16 || !key.bytes().all(|byte| byte.is_ascii_graphic());
    if let Given::Value(key) = &key
        && is_weak(key.expose_secret())
    {
        fields.refuse("apiKey", "must be 16 to 1024 visible ASCII characters");
    }
    key
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
