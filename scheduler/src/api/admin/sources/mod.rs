//! `/sources`: the platforms that users are moved from.

pub mod create;
pub mod delete;
pub mod list;
pub mod pause;
pub mod read;
pub mod update;

use axum::http::HeaderValue;
use dmf_shared::{
    domain::ids::SourceName,
    store::{self, Source, SourceView},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{
        answer::is_left_out,
        error::{ApiError, Result},
        fields::{Fields, Given},
        kind::Kind,
    },
    app::App,
};

/// For answers that hold a key.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The Source that a path names; 404 when there is none.
pub(super) async fn find(app: &App, name: &str) -> Result<Source> {
    // The database compares no other texts with these names.
    let is_name = name.parse::<SourceName>().is_ok();
    let found = if is_name { app.store.source_by_name(name).await? } else { None };
    found.ok_or_else(|| ApiError::not_found("Source"))
}

/// The Source as it is now, for the answer to a change.
async fn show(app: &App, name: &str) -> Result<Shown> {
    let source = find(app, name).await?;
    Ok(app.store.source_view(source).await?.into())
}

/// A Source, as answers show it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Source)]
pub struct Shown {
    name: String,
    paused: bool,
    users: u64,
    open_migrations: u64,
    #[serde(skip_serializing_if = "is_left_out")]
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "is_left_out")]
    deleting: Option<bool>,
}

impl From<SourceView> for Shown {
    fn from(view: SourceView) -> Self {
        Self {
            name: view.source.name.to_string(),
            paused: view.source.paused,
            users: view.users,
            open_migrations: view.open_migrations,
            rate_limit: view.rate_limit,
            deleting: Some(true).filter(|_| view.deleting),
        }
    }
}

/// Shortest and longest API key.
const KEY_LENGTH: (usize, usize) = (8, 1024);
/// A shorter key could be guessed by whoever has the time.
const SOUND_KEY_LENGTH: usize = 16;

/// Says in the log that a key which a client chose is a short one.
fn warn_of_short_key(source: &SourceName, key: &SecretString) {
    if key.expose_secret().len() < SOUND_KEY_LENGTH {
        tracing::warn!(%source, "the API key of this Source has less than {SOUND_KEY_LENGTH} characters");
    }
}

/// An API key that a client chooses; too weak a one is refused.
fn chosen_key(fields: &mut Fields) -> Given<SecretString> {
    fields.parsed("apiKey", Kind::Visible { min: KEY_LENGTH.0, max: KEY_LENGTH.1 }, |text| {
        let fits = (KEY_LENGTH.0..=KEY_LENGTH.1).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| SecretString::from(text))
    })
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
