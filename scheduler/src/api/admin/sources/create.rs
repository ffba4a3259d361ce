//! `POST /sources`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use dmf_shared::{crypto, domain::ids::SourceName};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{
        error::Result,
        fields::Fields,
        json::JsonBody,
        kind::Kind,
        openapi::{Answer, Body, Doc, Tag},
        path::location,
    },
    app::App,
};

/// What the document says of [`create`].
pub const CREATE: Doc = Doc {
    id: "createSource",
    summary: "Create a Source",
    description: "Makes its tables, and an API key unless one is given. The key is stored hashed and shown this once.",
    tag: Tag::Source,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Created>(201, "The Source with its API key.")],
    refuses: &[(409, "A Source of this name, compared without case, or of this key exists.")],
};

/// A Source that was just made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedSource)]
pub struct Created {
    name: String,
    api_key: String,
}

/// Creates a Source with its tables. The answer holds the API key, this once: it is stored hashed.
pub async fn create(
    State(app): State<App>,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Created>)> {
    let (name, key) = read(&mut fields);
    let name = fields.finish(|| name)?;
    let key = key.unwrap_or_else(crypto::generate_api_key);
    let hash = crypto::hash_api_key(key.expose_secret());
    let source = app.store.create_source(&name, hash).await.map_err(super::conflict)?;
    super::warn_of_short_key(&source.name, &key);
    let mut headers = location(&format!("/dmf/admin/api/v2/sources/{}", source.name));
    headers.insert(header::CACHE_CONTROL, super::NO_STORE);
    let created = Created { name: source.name.to_string(), api_key: key.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, headers, Json(created)))
}

fn read(fields: &mut Fields) -> (Option<SourceName>, Option<SecretString>) {
    let name = fields.parsed("name", Kind::SourceName, |text| text.parse().ok());
    (fields.require("name", name), super::chosen_key(fields).value())
}
