//! `POST /users/migrations`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use dmf_shared::{
    domain::migration::Phase,
    store::{Source, Submission, SubmitError},
};
use serde_json::Value;

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        record::record,
        users::{
            given::{self, Places},
            path_of,
        },
    },
    app::App,
};

/// Submits a migration; creates the user when it is new. 201 with the record once it is committed:
/// from then on it is not lost. Redis is not waited for.
pub async fn submit(
    State(app): State<App>,
    Customer(source): Customer,
    JsonBody(fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Value>)> {
    let submission = read(&app, &source, &mut Places::default(), fields).await?;
    let submitted = app.store.submit(&source, &submission).await.map_err(refused)?;
    app.relay.notify_one();
    let created = record(&submitted.record);
    let location = format!("{}/migrations/{}", path_of(&submitted.record.source_uid), submitted.record.id);
    let headers = HeaderMap::from_iter(
        HeaderValue::from_str(&location).ok().map(|location| (header::LOCATION, location)),
    );
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// Reads the fields of a submit.
pub(super) async fn read(
    app: &App,
    source: &Source,
    places: &mut Places,
    mut fields: Fields,
) -> Result<Submission> {
    let source_uid = fields.text("sourceUid");
    let source_uid = fields.require("sourceUid", source_uid);
    let phase = fields.parsed("phase", "PRE_SYNC or CUTOVER", Phase::parse);
    let phase = fields.require("phase", phase);
    let priority = fields.flag("priority").value().unwrap_or(false);
    let not_before = fields.time("notBefore").value();
    let force = fields.flag("force").value().unwrap_or(false);
    let user = given::read(app, source, places, source_uid.as_deref(), &mut fields).await?;
    fields.finish(|| {
        Some(Submission { source_uid: source_uid?, user, phase: phase?, priority, not_before, force })
    })
}

/// What a refusal tells the client.
pub(super) fn refused(error: SubmitError) -> ApiError {
    match error {
        SubmitError::Missing(fields) => ApiError::invalid(
            fields.into_iter().map(|field| format!("{field}: is required, since this user is new")).collect(),
        ),
        SubmitError::Open(id) => {
            ApiError::conflict(format!("sourceUid: migration {id} of this user is open"))
        }
        SubmitError::TargetUidTaken => {
            ApiError::conflict("targetUid: is taken by another user on this target")
        }
        SubmitError::TargetChanged => ApiError::conflict(
            "targetUid, target: can't change after a first successful migration, unless force is true",
        ),
        SubmitError::CutOver(id) => ApiError::conflict(format!(
            "sourceUid: CUTOVER {id} of this user succeeded; another migration would throw away mail that \
             arrived on the target since, unless force is true"
        )),
        SubmitError::Store(error) => error.into(),
    }
}
