//! `/users`: the mailboxes of a Source and their places on a target.

pub mod create;
pub mod delete;
pub mod given;
pub mod list;
pub mod read;
pub mod update;

use axum::http::{HeaderMap, HeaderValue, header};
use dmf_shared::{
    domain::user::ImapcSsl,
    store::{Source, UserError, UserView},
};
use serde_json::{Value, json};

use super::{
    error::{ApiError, Result},
    record::{object, time},
};
use crate::app::App;

/// The path of a user, its uid percent-encoded byte by byte where it has to be.
pub fn path_of(source_uid: &str) -> String {
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
    path
}

/// The `Location` of something that was created.
pub fn location(path: &str) -> HeaderMap {
    HeaderMap::from_iter(HeaderValue::from_str(path).ok().map(|path| (header::LOCATION, path)))
}

/// The user as it is now; a foreign one is as unknown as any.
async fn show(app: &App, source: &Source, source_uid: &str) -> Result<Value> {
    let user = app.store.user_view(source, source_uid).await?;
    user.map(|user| body(&user)).ok_or_else(|| ApiError::not_found("User"))
}

/// A user as `rest-api.md` lists its fields; the password is not shown.
fn body(view: &UserView) -> Value {
    let user = &view.user;
    let list = |items: &[String]| if items.is_empty() { Value::Null } else { json!(items) };
    object([
        ("sourceUid", json!(user.source_uid)),
        ("targetUid", json!(user.target_uid)),
        ("target", json!(view.target)),
        ("sourcehost", json!(view.sourcehost)),
        ("sourceport", json!(user.sourceport)),
        ("email", json!(user.email)),
        ("container", json!(user.container)),
        ("imapcOptions", list(&user.imapc_options)),
        ("useImapcSsl", json!(user.use_imapc_ssl.map(ImapcSsl::as_str))),
        ("excludeFolders", list(&user.exclude_folders)),
        ("created", json!(time(view.created))),
        ("modified", json!(time(view.modified))),
    ])
}

fn refused(error: UserError) -> ApiError {
    match error {
        UserError::Missing(fields) => {
            ApiError::invalid(fields.into_iter().map(|field| format!("{field}: is required")).collect())
        }
        UserError::Exists => ApiError::conflict("sourceUid: this user exists"),
        UserError::NotFound => ApiError::not_found("User"),
        UserError::Open(id) => ApiError::conflict(format!("sourceUid: migration {id} of this user is open")),
        UserError::Leased(id) => ApiError::conflict(format!(
            "sourceUid: migration {id} of this user is closed, but its worker has not ended it yet"
        )),
        UserError::TargetUidTaken => ApiError::conflict("targetUid: is taken by another user on this target"),
        UserError::TargetChanged => ApiError::conflict(
            "targetUid, target: can't change after a first successful migration, unless force is true",
        ),
        UserError::Store(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_encoded() {
        assert_eq!(super::path_of("a@b.c"), "/dmf/api/v2/users/a@b.c");
        assert_eq!(super::path_of("a/b %ü"), "/dmf/api/v2/users/a%2Fb%20%25%C3%BC");
    }
}
