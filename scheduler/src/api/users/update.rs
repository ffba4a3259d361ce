//! `PUT /users/{sourceUid}`

use axum::{Json, extract::State};
use dmf_shared::store::UserView;
use time::OffsetDateTime;

use super::{
    Shown,
    given::{self, Places, Wanted},
};
use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        fields::{Fields, Given},
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::Path,
        record::time,
    },
    app::App,
};

/// What the document says of [`update`].
pub const UPDATE: Doc = Doc {
    id: "updateUser",
    summary: "Change a user",
    description: "Fields that are given are set, null clears. A migration that waits runs with the new ones.",
    tag: Tag::User,
    query: None,
    body: Some(Body::Json(|fields| {
        ReadOnly::read(fields);
        read(fields);
    })),
    answers: &[Answer::json::<Shown>(200, "The user as it is now.")],
    refuses: &[(409, "The targetUid is taken, or the place of the user can not change now.")],
};

/// Changes the fields that are given; null clears. A migration that waits runs with the new ones.
pub async fn update(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Shown>> {
    let known =
        app.store.user_view(&source, &source_uid).await?.ok_or_else(|| ApiError::not_found("User"))?;
    ReadOnly::read(&mut fields).check(&known, &mut fields);
    let (force, wanted) = read(&mut fields);
    let uid = Some(&source_uid[..]);
    let change = wanted.look_up(&app, &source, &mut Places::default(), uid, &mut fields).await?;
    let change = fields.finish(|| Some(change))?;
    app.store.update_user(&source, &source_uid, &change, force).await.map_err(super::refused)?;
    Ok(Json(super::show(&app, &source, &source_uid).await.map_err(ApiError::after_change)?))
}

/// Fields that may be given as they are, so that what was read can be written back.
struct ReadOnly {
    source_uid: Given<String>,
    created: Given<OffsetDateTime>,
    modified: Given<OffsetDateTime>,
}

impl ReadOnly {
    fn read(fields: &mut Fields) -> Self {
        let given = Self {
            source_uid: fields.text("sourceUid"),
            created: fields.time("created"),
            modified: fields.time("modified"),
        };
        for field in ["sourceUid", "created", "modified"] {
            fields.read_only(field);
        }
        given
    }

    fn check(self, known: &UserView, fields: &mut Fields) {
        // A password is sealed for this very uid, and the journal is found by it.
        fields.unchanged("sourceUid", self.source_uid, |uid| *uid == known.user.source_uid);
        fields.unchanged("created", self.created, |at| time(*at) == time(known.created));
        fields.unchanged("modified", self.modified, |at| time(*at) == time(known.modified));
    }
}

fn read(fields: &mut Fields) -> (bool, Wanted) {
    for field in ["targetUid", "target", "sourcehost"] {
        fields.refuse_null(field);
    }
    let force = fields.flag("force").value().unwrap_or(false);
    (force, given::read(fields))
}
