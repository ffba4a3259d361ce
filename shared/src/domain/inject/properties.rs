//! The values that are injected for one user.

use std::{collections::BTreeMap, fmt};

use md5::{Digest, Md5};
use secrecy::{ExposeSecret, SecretString};

use super::name::{ConfName, MdbName, PropertyName};
use crate::domain::user::ImapcSsl;

/// What a user, its source host and the worker's configuration say; `None` is "has no value".
#[derive(Clone, Default)]
pub struct Properties {
    /// The targetUid.
    pub uid: Option<String>,
    /// The sourceUid.
    pub ruid: Option<String>,
    /// Name of the source host.
    pub sourcehost: Option<String>,
    /// Free text of the user.
    pub container: Option<String>,
    /// Name of the Source.
    pub source: Option<String>,
    /// The user's password on the source, opened.
    pub sourcepasswd: Option<SecretString>,
    /// The user's own doveadm settings, each `key=value`; `None` counts as none.
    pub imapcoptions: Option<Vec<String>>,
    /// The user's mail address.
    pub email: Option<String>,
    /// The port on the source host: the user's own, else that of the host.
    pub sourceport: Option<u16>,
    /// TLS towards the source host.
    pub imapc_ssl: Option<ImapcSsl>,
    /// Folders that are not copied; `None` counts as none.
    pub exclude: Option<Vec<String>>,
    /// `dmf.doveadm.source.<source>.imapc.*`, by the names of [`ConfName`].
    pub conf: BTreeMap<String, SecretString>,
    /// `dmf.doveadm.source.<source>.command.inject.*`; these override values of the same name. The items of a
    /// list stand under `exclude[0]`, `exclude[1]`, …; a single text is a list of one.
    pub inject: BTreeMap<String, SecretString>,
}

/// The value of one property.
pub(super) enum PropertyValue {
    Text(String),
    Secret(SecretString),
    List(Vec<String>),
}

impl Properties {
    /// A value of the `imapc` configuration, overrides applied. Secret ones stay wrapped.
    pub fn conf(&self, name: ConfName) -> Option<&SecretString> {
        self.inject.get(name.as_str()).or_else(|| self.conf.get(name.as_str()))
    }

    /// True when `key` can stand in `%{conf:key}`, whether it has a value or not.
    pub fn has_conf_key(&self, key: &str) -> bool {
        self.inject.contains_key(key)
            || self.conf.contains_key(key)
            || ConfName::ALL.iter().any(|name| name.as_str() == key)
    }

    /// The keys that can stand in `%{conf:…}`.
    pub fn conf_keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = ConfName::ALL.iter().map(|name| name.as_str()).collect();
        let more = self.conf.keys().chain(self.inject.keys()).map(String::as_str);
        keys.extend(more.filter(|key| !ConfName::ALL.iter().any(|name| name.as_str() == *key)));
        keys
    }

    /// The key whose value is `text`: what was meant by somebody who wrote the value instead.
    pub fn conf_key_of_value(&self, text: &str) -> Option<&str> {
        let mut entries = self.inject.iter().chain(&self.conf);
        entries.find(|(_, value)| value.expose_secret() == text).map(|(key, _)| key.as_str())
    }

    pub(super) fn lookup(&self, name: &PropertyName) -> Option<PropertyValue> {
        if name.as_list().is_some()
            && let Some(values) = self.injected_list(name.key())
        {
            return Some(PropertyValue::List(values));
        }
        if let Some(value) = self.inject.get(name.key()) {
            return Some(from_conf(name.key(), value));
        }
        match name {
            PropertyName::Mdb(name) => self.mdb(*name),
            PropertyName::Conf(key) => self.conf.get(key).map(|value| from_conf(key, value)),
        }
    }

    /// What overrides a list; an empty text overrides it with none.
    fn injected_list(&self, key: &str) -> Option<Vec<String>> {
        if let Some(value) = self.inject.get(key) {
            let value = value.expose_secret();
            return Some(if value.is_empty() { Vec::new() } else { vec![value.to_owned()] });
        }
        let items = (0..).map_while(|index| self.inject.get(&format!("{key}[{index}]")));
        let items: Vec<String> = items.map(|item| item.expose_secret().to_owned()).collect();
        if items.is_empty() { None } else { Some(items) }
    }

    fn mdb(&self, name: MdbName) -> Option<PropertyValue> {
        let text = match name {
            MdbName::Uid => self.uid.clone(),
            MdbName::Ruid => self.ruid.clone(),
            MdbName::Sourcehost => self.sourcehost.clone(),
            MdbName::TwoCharsOfRuid => self.ruid.as_ref().map(|ruid| ruid.chars().take(2).collect()),
            MdbName::Container => self.container.clone(),
            MdbName::Md5Path => self.uid.as_deref().map(md5_path),
            MdbName::Source => self.source.clone(),
            MdbName::Email => self.email.clone(),
            MdbName::SourcePort => self.sourceport.map(|port| port.to_string()),
            MdbName::ImapcSsl => self.imapc_ssl.map(|ssl| ssl.as_str().to_owned()),
            MdbName::SourcePasswd => return self.sourcepasswd.clone().map(PropertyValue::Secret),
            MdbName::ImapcOptions => return Some(list(self.imapcoptions.as_ref())),
            MdbName::Exclude => return Some(list(self.exclude.as_ref())),
        };
        text.filter(|text| !text.is_empty()).map(PropertyValue::Text)
    }
}

/// True for a configuration key whose value is taken for a password.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["passw", "passphrase", "secret", "token"].iter().any(|word| key.contains(word))
}

fn from_conf(key: &str, value: &SecretString) -> PropertyValue {
    if is_secret_key(key) {
        PropertyValue::Secret(value.clone())
    } else {
        PropertyValue::Text(value.expose_secret().to_owned())
    }
}

fn list(values: Option<&Vec<String>>) -> PropertyValue {
    PropertyValue::List(values.cloned().unwrap_or_default())
}

/// The first four hex digits of the md5 as `ab/cd`. A name for a place, not a protection.
fn md5_path(uid: &str) -> String {
    let digest = Md5::digest(uid.as_bytes());
    format!("{:02x}/{:02x}", digest[0], digest[1])
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Properties")
            .field("uid", &self.uid)
            .field("ruid", &self.ruid)
            .field("sourcehost", &self.sourcehost)
            .field("source", &self.source)
            .field("conf", &self.conf_keys())
            .finish_non_exhaustive()
    }
}
