//! `POST /targets`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};

use super::Shown;
use crate::{
    api::{
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::{self, location},
    },
    app::App,
};

/// What the document says of [`create`].
pub const CREATE: Doc = Doc {
    id: "createTarget",
    summary: "Create a target",
    description: "The first worker of a target does the same by itself.",
    tag: Tag::Target,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Shown>(201, "The target.")],
    refuses: &[(409, "A target of this name exists.")],
};

/// Creates a target. The first worker of a target does the same by itself.
pub async fn create(
    State(app): State<App>,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Shown>)> {
    let name = read(&mut fields);
    let name = fields.finish(|| name)?;
    let target = app.store.create_target(&name).await.map_err(|error| {
        if error.is_conflict_on("targets_name") {
            ApiError::conflict("name: a target of this name exists")
        } else {
            error.into()
        }
    })?;
    let place = location(&format!("/dmf/admin/api/v2/targets/{}", path::encode(&target.name)));
    Ok((StatusCode::CREATED, place, Json(Shown::from(&target))))
}

fn read(fields: &mut Fields) -> Option<String> {
    let name = fields.name("name", 64);
    fields.require("name", name)
}
