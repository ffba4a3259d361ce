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
use time::OffsetDateTime;

use crate::{
    api::{
        audit::Audited,
        auth::Customer,
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        kind::{self, Kind},
        openapi::{Answer, Body, Doc, Tag},
        record::Record,
        trace::Traced,
        users::{
            given::{self, Places, Wanted},
            path_of,
        },
    },
    app::App,
};

/// What the document says of [`submit`].
pub const SUBMIT: Doc = Doc {
    id: "submitMigration",
    summary: "Submit a migration",
    description: "Creates the user when it is new (then targetUid, target and sourcehost are required), and updates the fields that are given otherwise. Once answered it is not lost.",
    tag: Tag::Migration,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Record>(201, "The record.")],
    refuses: &[(
        409,
        "A migration of the user is open, its targetUid is taken, or a CUTOVER succeeded and force is not true.",
    )],
};

/// Submits a migration; creates the user when it is new. 201 with the record once it is committed:
/// from then on it is not lost. Redis is not waited for.
pub async fn submit(
    State(app): State<App>,
    Customer(source): Customer,
    Traced(trace): Traced,
    Audited(note): Audited,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Record>)> {
    let order = read(&mut fields);
    let submission = order.look_up(&app, &source, &mut Places::default(), fields).await?;
    let noted = note.with_change(StatusCode::CREATED);
    let submission = Submission { trace, noted, ..submission };
    let submitted = app.submitter.submit(source, submission).await.map_err(refused)?;
    let created = Record::from(&submitted.record);
    let location = format!("{}/migrations/{}", path_of(&submitted.record.source_uid), submitted.record.id);
    let headers = HeaderMap::from_iter(
        HeaderValue::from_str(&location).ok().map(|location| (header::LOCATION, location)),
    );
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// The fields of a submit, as far as they can be read without the database.
#[derive(Debug)]
pub(super) struct Order {
    source_uid: Option<String>,
    phase: Option<Phase>,
    priority: bool,
    not_before: Option<OffsetDateTime>,
    force: bool,
    user: Wanted,
}

/// Reads the fields of a submit; what is wrong with them is noted in `fields`.
pub(super) fn read(fields: &mut Fields) -> Order {
    let source_uid = fields.source_uid();
    let phase = fields.parsed("phase", Kind::OneOf(kind::PHASES), Phase::parse);
    let phase = fields.require("phase", phase);
    let priority = fields.flag("priority").value().unwrap_or(false);
    let not_before = fields.time("notBefore").value();
    let force = fields.flag("force").value().unwrap_or(false);
    Order { source_uid, phase, priority, not_before, force, user: given::read(fields) }
}

impl Order {
    /// Looks up what it names, and says all that is wrong with it.
    pub(super) async fn look_up(
        self,
        app: &App,
        source: &Source,
        places: &mut Places,
        mut fields: Fields,
    ) -> Result<Submission> {
        let Self { source_uid, phase, priority, not_before, force, user } = self;
        let user = user.look_up(app, source, places, source_uid.as_deref(), &mut fields).await?;
        fields.finish(|| {
            let (source_uid, phase) = source_uid.zip(phase)?;
            Some(Submission {
                source_uid,
                user,
                phase,
                priority,
                not_before,
                force,
                trace: None,
                noted: None,
            })
        })
    }
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
        SubmitError::Gone(field) => ApiError::conflict(format!("{field}: was deleted at the same moment")),
        SubmitError::TargetUidTaken => {
            ApiError::conflict("targetUid: is taken by another user on this target")
        }
        SubmitError::TargetChanged => ApiError::conflict(
            "targetUid, target: can't change once mail may have been moved, unless force is true",
        ),
        SubmitError::CutOver(id) => ApiError::conflict(format!(
            "sourceUid: CUTOVER {id} of this user succeeded; another migration would throw away mail that \
             arrived on the target since, unless force is true"
        )),
        SubmitError::Store(error) => error.into(),
    }
}
