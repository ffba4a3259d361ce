//! The fields of a user, as a client gives them.

use std::collections::HashMap;

use dmf_shared::{
    crypto,
    domain::{
        command_rules,
        ids::{HostId, TargetId},
        sealed::Sealed,
        user::ImapcSsl,
    },
    store::{Source, UserFields},
};
use secrecy::SecretString;

use crate::{
    api::{
        error::Result,
        fields::{Fields, Given, is_short_text},
        kind::Kind,
    },
    app::App,
};

/// Targets and source hosts by name, each looked up once.
#[derive(Debug, Default)]
pub struct Places {
    targets: HashMap<String, Option<TargetId>>,
    sourcehosts: HashMap<String, Option<HostId>>,
}

impl Places {
    /// The target and the source host of these names, as far as they are given; notes when there is none.
    pub async fn find(
        &mut self,
        app: &App,
        source: &Source,
        (target, sourcehost): (Option<String>, Option<String>),
        fields: &mut Fields,
    ) -> Result<(Option<TargetId>, Option<HostId>)> {
        let new_target = target.as_deref().filter(|name| !self.targets.contains_key(*name));
        let new_host = sourcehost.as_deref().filter(|name| !self.sourcehosts.contains_key(*name));
        if new_target.is_some() || new_host.is_some() {
            let (target, host) = app.store.places_by_name(source.id, new_target, new_host).await?;
            self.targets.extend(new_target.map(|name| (name.to_owned(), target)));
            self.sourcehosts.extend(new_host.map(|name| (name.to_owned(), host)));
        }
        let found = |name: &String| self.targets.get(name).copied().flatten();
        let target_id = target.as_ref().and_then(found);
        let found = |name: &String| self.sourcehosts.get(name).copied().flatten();
        let host_id = sourcehost.as_ref().and_then(found);
        if target.is_some() && target_id.is_none() {
            fields.refuse("target", "there is no such target");
        }
        if sourcehost.is_some() && host_id.is_none() {
            fields.refuse("sourcehost", "this Source has no such source host");
        }
        Ok((target_id, host_id))
    }
}

/// The fields of a user, as far as they can be read without the database.
#[derive(Debug)]
pub struct Wanted {
    target_uid: Given<String>,
    target: Given<String>,
    sourcehost: Given<String>,
    sourceport: Given<u16>,
    email: Given<String>,
    password: Given<SecretString>,
    container: Given<String>,
    imapc_options: Option<Vec<String>>,
    use_imapc_ssl: Given<ImapcSsl>,
    exclude_folders: Option<Vec<String>>,
}

/// Reads the fields of a user; what is wrong with them is noted in `fields`.
pub fn read(fields: &mut Fields) -> Wanted {
    Wanted {
        target_uid: fields.parsed("targetUid", Kind::TargetUid, |text| {
            (is_short_text(text) && !text.contains(['*', '?'])).then(|| text.to_owned())
        }),
        target: fields.text("target"),
        sourcehost: fields.text("sourcehost"),
        sourceport: fields.port("sourceport"),
        email: fields.text("email"),
        password: fields.secret("password"),
        container: fields.text("container"),
        imapc_options: imapc_options(fields),
        use_imapc_ssl: fields.parsed("useImapcSsl", Kind::OneOf(super::IMAPC_SSL), ImapcSsl::parse),
        exclude_folders: list(fields.texts("excludeFolders")),
    }
}

impl Wanted {
    /// Notes which fields are missing of a user that does not exist yet.
    pub fn require_place(&self, fields: &mut Fields) {
        for (field, given) in
            [("targetUid", &self.target_uid), ("target", &self.target), ("sourcehost", &self.sourcehost)]
        {
            fields.require(field, given.clone());
        }
    }

    /// Looks up what is named and seals the password; what is wrong is noted in `fields`. Without a
    /// `source_uid` a password can't be sealed: then that one was refused already.
    pub async fn look_up(
        self,
        app: &App,
        source: &Source,
        places: &mut Places,
        source_uid: Option<&str>,
        fields: &mut Fields,
    ) -> Result<UserFields> {
        let names = (self.target.value(), self.sourcehost.value());
        let (target, sourcehost) = places.find(app, source, names, fields).await?;
        Ok(UserFields {
            target_uid: self.target_uid.value(),
            target,
            sourcehost,
            sourceport: self.sourceport.nested(),
            email: self.email.nested(),
            password: sealed(app, source, source_uid, self.password, fields).nested(),
            container: self.container.nested(),
            imapc_options: self.imapc_options,
            use_imapc_ssl: self.use_imapc_ssl.nested(),
            exclude_folders: self.exclude_folders,
        })
    }
}

/// doveadm settings of the user. Which names are allowed only the worker knows.
fn imapc_options(fields: &mut Fields) -> Option<Vec<String>> {
    let mut options = list(fields.texts_of("imapcOptions", Kind::Assignments))?;
    if let [one] = options.as_slice() {
        options = command_rules::split_imapc_options(one);
    }
    for option in &options {
        let fault = match command_rules::split_setting(option) {
            // It would be shown to whoever reads the user.
            Some((key, _)) if key.to_ascii_lowercase().contains("password") => {
                Some(format!("must not hold {key}, the field password is for that"))
            }
            Some((key, _)) => {
                command_rules::setting_key_fault(key).or_else(|| command_rules::forbidden_setting_fault(key))
            }
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

fn sealed(
    app: &App,
    source: &Source,
    source_uid: Option<&str>,
    password: Given<SecretString>,
    fields: &mut Fields,
) -> Given<Sealed> {
    let (password, source_uid) = match (password, source_uid) {
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
