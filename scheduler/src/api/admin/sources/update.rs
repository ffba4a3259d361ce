//! `PUT /sources/{source}`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use dmf_shared::crypto;
use secrecy::{ExposeSecret as _, SecretString};

use super::Shown;
use crate::{
    api::{
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
    answers: &[Answer::json::<Shown>(200, "The Source as it is now.")],
    refuses: &[(409, "Another Source has this key.")],
};

/// Gives a Source another API key or rate limit. The old key is void at once; `apiKey: null` makes a new
/// one, and the answer holds it, this once.
pub async fn update(
    State(app): State<App>,
    Path(name): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<(HeaderMap, Json<Shown>)> {
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
    let shown = super::show(&app, &name).await.map_err(ApiError::after_change)?;
    let headers = HeaderMap::from_iter(key.is_some().then_some((header::CACHE_CONTROL, super::NO_STORE)));
    Ok((headers, Json(Shown { api_key: key.map(|key| key.expose_secret().to_owned()), ..shown })))
}

fn read(fields: &mut Fields) -> (Given<SecretString>, Given<u32>) {
    (super::chosen_key(fields), fields.number("rateLimit", 0, MAX_RATE))
}
