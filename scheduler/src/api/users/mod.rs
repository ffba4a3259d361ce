//! `/users`: the mailboxes of a Source and their places on a target.

pub mod create;
pub mod delete;
pub mod given;
pub mod list;
pub mod read;
pub mod update;

use dmf_shared::{
    domain::user::ImapcSsl,
    store::{Source, UserError, UserView},
};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    answer::is_left_out,
    error::{ApiError, Result},
    kind,
    path::encode,
    record::time,
};
use crate::app::App;

/// The path of a user, its uid percent-encoded byte by byte where it has to be.
pub fn path_of(source_uid: &str) -> String {
    // As it is, `/users/migrations` is the list of migrations.
    let segment = if source_uid == "migrations" { "%6Digrations".to_owned() } else { encode(source_uid) };
    format!("/dmf/api/v2/users/{segment}")
}

/// The user as it is now; a foreign one is as unknown as any.
async fn show(app: &App, source: &Source, source_uid: &str) -> Result<Shown> {
    let user = app.store.user_view(source, source_uid).await?;
    user.map(Shown::from).ok_or_else(|| ApiError::not_found("User"))
}

/// A user, as answers show it; the password is not shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct Shown {
    source_uid: String,
    target_uid: String,
    target: String,
    #[serde(skip_serializing_if = "is_left_out")]
    sourcehost: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    sourceport: Option<u16>,
    #[serde(skip_serializing_if = "is_left_out")]
    email: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    container: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    imapc_options: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = use_imapc_ssl)]
    use_imapc_ssl: Option<&'static str>,
    #[serde(skip_serializing_if = "is_left_out")]
    exclude_folders: Option<Vec<String>>,
    #[schema(format = DateTime)]
    created: String,
    #[schema(format = DateTime)]
    modified: String,
}

/// What `useImapcSsl` may be.
const IMAPC_SSL: &[&str] = &[ImapcSsl::No.as_str(), ImapcSsl::Imaps.as_str(), ImapcSsl::Starttls.as_str()];

fn use_imapc_ssl() -> RefOr<Schema> {
    kind::one_of(IMAPC_SSL, true)
}

impl From<UserView> for Shown {
    fn from(view: UserView) -> Self {
        let UserView { user, target, sourcehost, created, modified } = view;
        let list = |items: Vec<String>| Some(items).filter(|items| !items.is_empty());
        Self {
            source_uid: user.source_uid,
            target_uid: user.target_uid,
            target,
            sourcehost,
            sourceport: user.sourceport,
            email: user.email,
            container: user.container,
            imapc_options: list(user.imapc_options),
            use_imapc_ssl: user.use_imapc_ssl.map(ImapcSsl::as_str),
            exclude_folders: list(user.exclude_folders),
            created: time(created),
            modified: time(modified),
        }
    }
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
        UserError::Gone(field) => ApiError::conflict(format!("{field}: was deleted at the same moment")),
        UserError::TargetUidTaken => ApiError::conflict("targetUid: is taken by another user on this target"),
        UserError::TargetChanged => ApiError::conflict(
            "targetUid, target: can't change once mail may have been moved, unless force is true",
        ),
        UserError::Store(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_encoded() {
        assert_eq!(super::path_of("migrations"), "/dmf/api/v2/users/%6Digrations");
        assert_eq!(super::path_of("a@b.c"), "/dmf/api/v2/users/a@b.c");
        assert_eq!(super::path_of("a/b %ü"), "/dmf/api/v2/users/a%2Fb%20%25%C3%BC");
    }
}
