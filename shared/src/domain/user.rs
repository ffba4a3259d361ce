//! A user: one mailbox on a Source and its place on a target.

use serde::{Deserialize, Serialize};

use super::{
    ids::{HostId, TargetId, UserId},
    sealed::Sealed,
};

/// How doveadm reaches the source: the values of `useImapcSsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImapcSsl {
    /// Plain text.
    No,
    /// TLS from the first byte.
    Imaps,
    /// TLS after `STARTTLS`.
    Starttls,
}

impl ImapcSsl {
    /// The value as doveadm's setting `imapc_ssl` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Imaps => "imaps",
            Self::Starttls => "starttls",
        }
    }

    /// Reads the value; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::No, Self::Imaps, Self::Starttls].into_iter().find(|ssl| ssl.as_str() == text)
    }
}

/// Everything that is stored about a user, as the worker and the API read it.
#[derive(Debug, Clone)]
pub struct User {
    /// Row id within the Source.
    pub id: UserId,
    /// Mail identifier on the Source, byte for byte.
    pub source_uid: String,
    /// Mail identifier on the target, byte for byte.
    pub target_uid: String,
    /// The target platform.
    pub target: TargetId,
    /// The source host that holds the mailbox.
    pub sourcehost: HostId,
    /// Port on the source host, where it differs from the host's own.
    pub sourceport: Option<u16>,
    /// Mail address, for injection.
    pub email: Option<String>,
    /// The source password, sealed.
    pub password: Option<Sealed>,
    /// Free text for injection.
    pub container: Option<String>,
    /// doveadm settings for this user, each `key=value`.
    pub imapc_options: Vec<String>,
    /// TLS towards the source host.
    pub use_imapc_ssl: Option<ImapcSsl>,
    /// Folders that are not copied.
    pub exclude_folders: Vec<String>,
}
