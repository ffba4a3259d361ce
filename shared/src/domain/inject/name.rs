//! The names of properties.

use std::fmt;

/// A property that comes with the user or its source host: `%{mdb:X}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MdbName {
    /// `uid`: the targetUid.
    Uid,
    /// `ruid`: the sourceUid.
    Ruid,
    /// `sourcehost`: name of the source host.
    Sourcehost,
    /// `2chruid`: the first two characters of the sourceUid.
    TwoCharsOfRuid,
    /// `container`: free text of the user.
    Container,
    /// `md5path`: md5 of the uid in hex, its first four digits as `ab/cd`.
    Md5Path,
    /// `source`: name of the Source.
    Source,
    /// `sourcepasswd`: the user's password on the source.
    SourcePasswd,
    /// `imapcoptions`: doveadm settings of the user, a list of `key=value`.
    ImapcOptions,
    /// `email`: the user's mail address.
    Email,
    /// `sourceport`: port on the source host.
    SourcePort,
    /// `imapc_ssl`: the value of useImapcSsl.
    ImapcSsl,
    /// `exclude`: folders that are not copied, a list.
    Exclude,
}

impl MdbName {
    /// All names, in the order in which errors list them.
    pub const ALL: [Self; 13] = [
        Self::Uid,
        Self::Ruid,
        Self::Sourcehost,
        Self::TwoCharsOfRuid,
        Self::Container,
        Self::Md5Path,
        Self::Source,
        Self::SourcePasswd,
        Self::ImapcOptions,
        Self::Email,
        Self::SourcePort,
        Self::ImapcSsl,
        Self::Exclude,
    ];

    /// The name as commands write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Ruid => "ruid",
            Self::Sourcehost => "sourcehost",
            Self::TwoCharsOfRuid => "2chruid",
            Self::Container => "container",
            Self::Md5Path => "md5path",
            Self::Source => "source",
            Self::SourcePasswd => "sourcepasswd",
            Self::ImapcOptions => "imapcoptions",
            Self::Email => "email",
            Self::SourcePort => "sourceport",
            Self::ImapcSsl => "imapc_ssl",
            Self::Exclude => "exclude",
        }
    }

    /// Reads a name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

/// The properties of the worker's `imapc` configuration: `%{conf:Y}`. Keys of its `inject` map come on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfName {
    /// `imapc_host`.
    Host,
    /// `imapc_master_password`.
    MasterPassword,
    /// `imapc_master_user`.
    MasterUser,
    /// `imapc_prefix`.
    Prefix,
    /// `imapc_port`.
    Port,
}

impl ConfName {
    /// All names, in the order in which errors list them.
    pub const ALL: [Self; 5] = [Self::Host, Self::MasterPassword, Self::MasterUser, Self::Prefix, Self::Port];

    /// The name as commands write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "imapc_host",
            Self::MasterPassword => "imapc_master_password",
            Self::MasterUser => "imapc_master_user",
            Self::Prefix => "imapc_prefix",
            Self::Port => "imapc_port",
        }
    }
}

/// A property whose value is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListProperty {
    /// Folders; each becomes `-x FOLDER`.
    Exclude,
    /// Settings `key=value`; each becomes `-o key=value`.
    ImapcOptions,
}

impl ListProperty {
    /// The option that each value of the list follows.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Exclude => "-x",
            Self::ImapcOptions => "-o",
        }
    }
}

/// What stands in a hole of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PropertyName {
    /// `%{mdb:…}`
    Mdb(MdbName),
    /// `%{conf:…}`; which keys exist is known to the worker only.
    Conf(String),
}

impl PropertyName {
    /// The list that this property is, if it is one.
    pub const fn as_list(&self) -> Option<ListProperty> {
        match self {
            Self::Mdb(MdbName::Exclude) => Some(ListProperty::Exclude),
            Self::Mdb(MdbName::ImapcOptions) => Some(ListProperty::ImapcOptions),
            _ => None,
        }
    }

    /// The bare name, without its namespace.
    pub const fn key(&self) -> &str {
        match self {
            Self::Mdb(name) => name.as_str(),
            Self::Conf(key) => key.as_str(),
        }
    }
}

impl fmt::Display for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mdb(name) => write!(f, "%{{mdb:{}}}", name.as_str()),
            Self::Conf(key) => write!(f, "%{{conf:{key}}}"),
        }
    }
}
