//! `PUT /sources/{source}`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use dmf_shared::crypto;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::Shown;
use crate::{
    api::{
        answer::is_left_out,
        error::{ApiError, Result},
        fields::{Fields, Given},
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// Most requests a second that a limit may allow.
const MAX_RATE: u32 = 100_000;

/// What the document says of [`update`].
pub const UPDATE: Doc = Doc {
    id: "updateSource",
    summary: "Change the API key or the rate limit of a Source",
    description: "The old key is void at once. A null as apiKey makes a new one, which the answer holds, this once; a null as rateLimit leaves it to the configuration.",
    tag: Tag::Source,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Changed>(200, "The Source as it is now.")],
    refuses: &[(409, "Another Source has this key.")],
};

/// A Source that was just changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangedSource)]
pub struct Changed {
    name: String,
    paused: bool,
    users: u64,
    open_migrations: u64,
    #[serde(skip_serializing_if = "is_left_out")]
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "is_left_out")]
    deleting: Option<bool>,
    /// In the answer to the request that set it, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl Changed {
    fn new(source: Shown, api_key: Option<String>) -> Self {
        let Shown { name, paused, users, open_migrations, rate_limit, deleting } = source;
        Self { name, paused, users, open_migrations, rate_limit, deleting, api_key }
    }
}

/// Gives a Source another API key or rate limit. The old key is void at once; `apiKey: null` makes a new
/// one, and the answer holds it, this once.
pub async fn update(
    State(app): State<App>,
    Path(name): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<(HeaderMap, Json<Changed>)> {
    let source = super::find(&app, &name).await?;
    let (key, rate_limit) = read(&mut fields);
    let key = match key {
        Given::Null => Some(crypto::generate_api_key()),
        given => given.value(),
    };
    let rate_limit = rate_limit.nested();
    fields.finish(|| Some(()))?;
    let hash = key.as_ref().map(|key| crypto::hash_api_key(key.expose_secret()));
    app.store.update_source(source.id, hash, rate_limit).await.map_err(super::conflict)?;
    tracing::info!(source = %source.name, rotated = key.is_some(), ?rate_limit, "source changed");
    if let Some(key) = &key {
        super::warn_of_short_key(&source.name, key);
    }
    let source = super::show(&app, &name).await.map_err(ApiError::after_change)?;
    let headers = HeaderMap::from_iter(key.is_some().then_some((header::CACHE_CONTROL, super::NO_STORE)));
    let api_key = key.map(|key| key.expose_secret().to_owned());
    Ok((headers, Json(Changed::new(source, api_key))))
}

fn read(fields: &mut Fields) -> (Given<SecretString>, Given<u32>) {
    (super::chosen_key(fields), fields.number("rateLimit", 0, MAX_RATE))
}
