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

use crate::{
    api::{
        error::Result,
        fields::{Fields, Given},
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
    async fn target(&mut self, app: &App, name: String, fields: &mut Fields) -> Result<Option<TargetId>> {
        let found = if let Some(found) = self.targets.get(&name) {
            *found
        } else {
            let found = app.store.target_by_name(&name).await?.map(|target| target.id);
            *self.targets.entry(name).or_insert(found)
        };
        if found.is_none() {
            fields.refuse("target", "there is no such target");
        }
        Ok(found)
    }

    async fn sourcehost(
        &mut self,
        app: &App,
        source: &Source,
        name: String,
        fields: &mut Fields,
    ) -> Result<Option<HostId>> {
        let found = if let Some(found) = self.sourcehosts.get(&name) {
            *found
        } else {
            let found = app.store.sourcehost_id(source.id, &name).await?;
            *self.sourcehosts.entry(name).or_insert(found)
        };
        if found.is_none() {
            fields.refuse("sourcehost", "this Source has no such source host");
        }
        Ok(found)
    }
}

/// Reads the fields of a user; what is wrong with them is noted in `fields`. Without a `source_uid` its
/// password can't be sealed: then that one was refused already.
pub async fn read(
    app: &App,
    source: &Source,
    places: &mut Places,
    source_uid: Option<&str>,
    fields: &mut Fields,
) -> Result<UserFields> {
    let target_uid = fields.text("targetUid").value();
    if target_uid.as_ref().is_some_and(|uid| uid.contains(['*', '?'])) {
        fields.refuse("targetUid", "must not hold * or ?, which doveadm takes as a mask over users");
    }
    let target = match fields.text("target").value() {
        Some(name) => places.target(app, name, fields).await?,
        None => None,
    };
    let sourcehost = match fields.text("sourcehost").value() {
        Some(name) => places.sourcehost(app, source, name, fields).await?,
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
