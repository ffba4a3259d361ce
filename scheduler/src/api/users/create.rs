//! `POST /users`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};

use super::{
    Shown,
    given::{self, Places, Wanted},
};
use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::location,
    },
    app::App,
};

/// What the document says of [`create`].
pub const CREATE: Doc = Doc {
    id: "createUser",
    summary: "Create a user",
    description: "Without a migration; a first submit does the same by itself.",
    tag: Tag::User,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Shown>(201, "The user.")],
    refuses: &[(409, "The user exists, or its targetUid is taken on that target, by whatever Source.")],
};

/// Creates a user without a migration.
pub async fn create(
    State(app): State<App>,
    Customer(source): Customer,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Shown>)> {
    let (source_uid, wanted) = read(&mut fields);
    let uid = source_uid.as_deref();
    let user = wanted.look_up(&app, &source, &mut Places::default(), uid, &mut fields).await?;
    let source_uid = fields.finish(|| source_uid)?;
    app.store.create_user(&source, &source_uid, &user).await.map_err(super::refused)?;
    let shown = super::show(&app, &source, &source_uid).await.map_err(ApiError::after_change)?;
    Ok((StatusCode::CREATED, location(&super::path_of(&source_uid)), Json(shown)))
}

fn read(fields: &mut Fields) -> (Option<String>, Wanted) {
    let source_uid = fields.source_uid();
    let wanted = given::read(fields);
    wanted.require_place(fields);
    (source_uid, wanted)
}
