//! `POST /users/migrations`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use dmf_shared::{
    crypto,
    domain::{command_rules, migration::Phase, sealed::Sealed, user::ImapcSsl},
    store::{Source, Submission, SubmitError, UserFields},
};
use serde_json::Value;

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        fields::{Fields, Given},
        json::JsonBody,
        record::record,
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
    let submission = read(&app, &source, fields).await?;
    let submitted = app.store.submit(&source, &submission).await.map_err(refused)?;
    app.relay.notify_one();
    let created = record(&submitted.record);
    let location = location(&submitted.record.source_uid, submitted.record.id.0);
    let headers = HeaderMap::from_iter(
        HeaderValue::from_str(&location).ok().map(|location| (header::LOCATION, location)),
    );
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// The path of the record, the uid percent-encoded byte by byte where it has to be.
fn location(source_uid: &str, id: u64) -> String {
    use std::fmt::Write as _;
    let mut path = "/dmf/api/v2/users/".to_owned();
    for byte in source_uid.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    format!("{path}/migrations/{id}")
}

async fn read(app: &App, source: &Source, mut fields: Fields) -> Result<Submission> {
    let source_uid = fields.text("sourceUid");
    let source_uid = fields.require("sourceUid", source_uid);
    let phase = fields.parsed("phase", "PRE_SYNC or CUTOVER", Phase::parse);
    let phase = fields.require("phase", phase);
    let priority = fields.flag("priority").value().unwrap_or(false);
    let not_before = fields.time("notBefore").value();
    let force = fields.flag("force").value().unwrap_or(false);
    let user = read_user(app, source, source_uid.as_deref(), &mut fields).await?;
    fields.finish(|| {
        Some(Submission { source_uid: source_uid?, user, phase: phase?, priority, not_before, force })
    })
}

async fn read_user(
    app: &App,
    source: &Source,
    source_uid: Option<&str>,
    fields: &mut Fields,
) -> Result<UserFields> {
    let target_uid = fields.text("targetUid").value();
    if target_uid.as_ref().is_some_and(|uid| uid.contains(['*', '?'])) {
        fields.refuse("targetUid", "must not hold * or ?, which doveadm takes as a mask over users");
    }
    let target = match fields.text("target").value() {
        Some(name) => {
            let target = app.store.target_by_name(&name).await?;
            if target.is_none() {
                fields.refuse("target", "there is no such target");
            }
            target.map(|target| target.id)
        }
        None => None,
    };
    let sourcehost = match fields.text("sourcehost").value() {
        Some(name) => {
            let host = app.store.sourcehosts(source.id, Some(&name)).await?.pop();
            if host.is_none() {
                fields.refuse("sourcehost", "this Source has no such source host");
            }
            host.map(|view| view.host.id)
        }
        None => None,
    };
    Ok(UserFields {
        target_uid,
        target,
        sourcehost,
        sourceport: fields.port("sourceport").nested(),
        email: fields.text("email").nested(),
        password: sealed_password(app, source, source_uid, fields).nested(),
        container: fields.text("container").nested(),
        imapc_options: imapc_options(fields),
        use_imapc_ssl: fields.parsed("useImapcSsl", "no, imaps or starttls", ImapcSsl::parse).nested(),
        exclude_folders: list(fields.texts("excludeFolders")),
    })
}

/// doveadm settings of the user. Which names are allowed only the worker knows.
fn imapc_options(fields: &mut Fields) -> Option<Vec<String>> {
    let options = list(fields.texts("imapcOptions"))?;
    for option in &options {
        let fault = match command_rules::split_setting(option) {
            Some((key, _)) => command_rules::setting_key_fault(key),
            None => Some("must be of the form key=value".to_owned()),
        };
        if let Some(fault) = fault {
            fields.refuse("imapcOptions", fault);
        }
    }
    Some(options)
}

/// A list; null clears it.
fn list(given: Given<Vec<String>>) -> Option<Vec<String>> {
    given.nested().map(Option::unwrap_or_default)
}

fn sealed_password(
    app: &App,
    source: &Source,
    source_uid: Option<&str>,
    fields: &mut Fields,
) -> Given<Sealed> {
    let (password, source_uid) = match (fields.secret("password"), source_uid) {
        (Given::Value(password), Some(source_uid)) => (password, source_uid),
        (Given::Absent, _) => return Given::Absent,
        (Given::Null, _) => return Given::Null,
        // The password or the uid was refused above.
        (Given::Value(_) | Given::Refused, _) => return Given::Refused,
    };
    match app.keys.seal(&password, source.id, source_uid) {
        Ok(sealed) => return Given::Value(sealed),
        Err(crypto::key_ring::Error::NoActiveKey) => {
            fields.refuse("password", "can't be stored: dmf.crypto.storage-key is not configured");
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a password could not be sealed");
            fields.refuse("password", "could not be encrypted, see the log of the scheduler");
        }
    }
    Given::Refused
}

fn refused(error: SubmitError) -> ApiError {
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

#[cfg(test)]
mod tests {
    #[test]
    fn locations_are_encoded() {
        assert_eq!(super::location("a@b.c", 1), "/dmf/api/v2/users/a@b.c/migrations/1");
        assert_eq!(super::location("a/b %ü", 2), "/dmf/api/v2/users/a%2Fb%20%25%C3%BC/migrations/2");
    }
}
