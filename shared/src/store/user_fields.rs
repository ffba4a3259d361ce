//! What a client says of a user, and the user that comes of it.

use crate::domain::{
    ids::{HostId, TargetId, UserId},
    sealed::Sealed,
    user::{ImapcSsl, User},
};

/// What a client said of a user. `None` leaves a field as it is; `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct UserFields {
    /// Mail identifier on the target.
    pub target_uid: Option<String>,
    /// The target, looked up already.
    pub target: Option<TargetId>,
    /// The source host, looked up already.
    pub sourcehost: Option<HostId>,
    /// Port on the source host.
    pub sourceport: Option<Option<u16>>,
    /// Mail address.
    pub email: Option<Option<String>>,
    /// Source password, sealed already.
    pub password: Option<Option<Sealed>>,
    /// Free text for injection.
    pub container: Option<Option<String>>,
    /// doveadm settings.
    pub imapc_options: Option<Vec<String>>,
    /// TLS towards the source host.
    pub use_imapc_ssl: Option<Option<ImapcSsl>>,
    /// Folders that are not copied.
    pub exclude_folders: Option<Vec<String>>,
}

impl UserFields {
    /// The user after this; the names of the fields that a new one lacks.
    pub(super) fn merge(&self, known: Option<User>, source_uid: &str) -> Result<User, Vec<&'static str>> {
        let fields = self.clone();
        let mut user = match known {
            Some(user) => user,
            None => self.new_user(source_uid)?,
        };
        user.target_uid = fields.target_uid.unwrap_or(user.target_uid);
        user.target = fields.target.unwrap_or(user.target);
        user.sourcehost = fields.sourcehost.unwrap_or(user.sourcehost);
        user.sourceport = fields.sourceport.unwrap_or(user.sourceport);
        user.email = fields.email.unwrap_or(user.email);
        user.password = fields.password.unwrap_or(user.password);
        user.container = fields.container.unwrap_or(user.container);
        user.imapc_options = fields.imapc_options.unwrap_or(user.imapc_options);
        user.use_imapc_ssl = fields.use_imapc_ssl.unwrap_or(user.use_imapc_ssl);
        user.exclude_folders = fields.exclude_folders.unwrap_or(user.exclude_folders);
        Ok(user)
    }

    /// Whether this brings the user's mail to another place.
    pub(super) fn moves(&self, user: &User) -> bool {
        self.target.is_some_and(|target| target != user.target)
            || self.target_uid.as_ref().is_some_and(|uid| *uid != user.target_uid)
    }

    fn new_user(&self, source_uid: &str) -> Result<User, Vec<&'static str>> {
        match (&self.target_uid, self.target, self.sourcehost) {
            (Some(target_uid), Some(target), Some(sourcehost)) => Ok(User {
                id: UserId(0),
                source_uid: source_uid.to_owned(),
                target_uid: target_uid.clone(),
                target,
                sourcehost,
                sourceport: None,
                email: None,
                password: None,
                container: None,
                imapc_options: Vec::new(),
                use_imapc_ssl: None,
                exclude_folders: Vec::new(),
            }),
            (uid, target, host) => {
                let missing = [
                    ("targetUid", uid.is_none()),
                    ("target", target.is_none()),
                    ("sourcehost", host.is_none()),
                ];
                Err(missing.into_iter().filter(|field| field.1).map(|field| field.0).collect())
            }
        }
    }
}
