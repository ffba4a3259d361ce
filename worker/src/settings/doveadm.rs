//! `dmf.doveadm` and what its commands may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use dmf_shared::{
    config::Reader,
    domain::{
        command::Command,
        command_rules::{Origin, Rules},
    },
};
use secrecy::SecretString;

use super::command;
use crate::{
    doveadm::argv::{DEFAULT_CONFIG, MailLog},
    process::RunAs,
};

/// `dmf.doveadm`
#[derive(Debug, Clone)]
pub struct DoveadmSettings {
    /// The program.
    pub path: PathBuf,
    /// Dovecot's main configuration file.
    pub config: PathBuf,
    /// The user that doveadm runs as, by name, when the worker is root.
    pub user: Option<String>,
    /// What commands may do.
    pub allow: Allowances,
    /// `dmf.worker.doveadm.mail-log`: what is set on `backup` and `sync` to count mails.
    pub mail_log: MailLog,
}

/// What commands may do beyond the fixed rules.
#[derive(Debug, Clone, Default)]
pub struct Allowances {
    /// `dmf.worker.command.allow`: programs that a command of the API may name.
    pub programs: Vec<String>,
    /// `dmf.worker.doveadm-settings.allow`: settings that a command of the API may set besides the
    /// harmless ones.
    pub settings: Vec<String>,
    /// `dmf.worker.imapc-options.allow`: settings that a customer may set besides the harmless ones.
    pub imapc_options: Vec<String>,
    /// `dmf.worker.doveadm.allow-doveadm-protocol`: destinations `tcp:` and `tcps:`.
    pub doveadm_protocol: bool,
    /// `dmf.worker.doveadm.allow-write-to-source`: commands that write to the source.
    pub write_to_source: bool,
}

impl Allowances {
    /// As rules for commands of this origin.
    pub fn rules(&self, origin: Origin) -> Rules {
        Rules {
            origin,
            programs: Some(self.programs.clone()),
            settings: Some(self.settings.clone()),
            doveadm_protocol: self.doveadm_protocol,
            write_to_source: self.write_to_source,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            programs: reader.list_or("dmf.worker.command.allow", &["doveadm"]),
            settings: reader.list("dmf.worker.doveadm-settings.allow").unwrap_or_default(),
            imapc_options: reader.list("dmf.worker.imapc-options.allow").unwrap_or_default(),
            doveadm_protocol: reader.bool("dmf.worker.doveadm.allow-doveadm-protocol", false),
            write_to_source: reader.bool("dmf.worker.doveadm.allow-write-to-source", false),
        }
    }
}

impl DoveadmSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            path: reader.path_or("dmf.doveadm.path", "/usr/bin/doveadm"),
            config: reader.path_or("dmf.doveadm.config", DEFAULT_CONFIG),
            user: reader.string("dmf.doveadm.user"),
            allow: Allowances::read(reader),
            mail_log: MailLog {
                plugins: reader.bool("dmf.worker.doveadm.mail-log.plugins", true),
                events: reader.bool("dmf.worker.doveadm.mail-log.events", true),
                fields: reader.bool("dmf.worker.doveadm.mail-log.fields", true),
            },
        }
    }

    /// What `-c` says to doveadm: nothing where the configuration is where doveadm looks for it itself.
    pub fn config_option(&self) -> Option<String> {
        let config = self.config.display().to_string();
        (config != DEFAULT_CONFIG).then_some(config)
    }

    /// The numbers of the user that doveadm runs as. `None` when the worker is not root: then it runs as
    /// the worker itself.
    pub fn run_as(&self) -> Result<Option<RunAs>, String> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        let Some(name) = &self.user else { return Ok(None) };
        match nix::unistd::User::from_name(name) {
            Ok(Some(user)) => Ok(Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
            Ok(None) => Err(format!("there is no user {name}")),
            Err(error) => Err(format!("the user {name} can't be looked up: {error}")),
        }
    }
}

/// `dmf.doveadm.source.<source>`
#[derive(Debug, Clone, Default)]
pub struct SourceSettings {
    /// Name or address of the source server.
    pub imapc_host: Option<String>,
    /// Its port.
    pub imapc_port: Option<String>,
    /// The master user.
    pub imapc_master_user: Option<String>,
    /// The master password.
    pub imapc_master_password: Option<SecretString>,
    /// Folder prefix on the source.
    pub imapc_prefix: Option<String>,
    /// Replaces migrationCommand1 of the source hosts.
    pub migration1: Option<Command>,
    /// Replaces migrationCommand2.
    pub migration2: Option<Command>,
    /// Replaces statusCommand.
    pub status: Option<Command>,
    /// Further properties for `%{conf:…}`; they override all others.
    pub inject: BTreeMap<String, SecretString>,
}

impl SourceSettings {
    /// The same with the values of another where this one has none.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let mut inject = other.inject.clone();
        // A list overrides a list as a whole.
        for key in self.inject.keys().map(|key| list_of(key)) {
            inject.retain(|known, _| list_of(known) != key);
        }
        inject.extend(self.inject);
        Self {
            imapc_host: self.imapc_host.or_else(|| other.imapc_host.clone()),
            imapc_port: self.imapc_port.or_else(|| other.imapc_port.clone()),
            imapc_master_user: self.imapc_master_user.or_else(|| other.imapc_master_user.clone()),
            imapc_master_password: self.imapc_master_password.or_else(|| other.imapc_master_password.clone()),
            imapc_prefix: self.imapc_prefix.or_else(|| other.imapc_prefix.clone()),
            migration1: self.migration1.or_else(|| other.migration1.clone()),
            migration2: self.migration2.or_else(|| other.migration2.clone()),
            status: self.status.or_else(|| other.status.clone()),
            inject,
        }
    }

    /// What `%{conf:…}` gives, overrides left out.
    pub fn conf(&self) -> BTreeMap<String, SecretString> {
        let plain = |value: &Option<String>| value.clone().map(SecretString::from);
        let conf = [
            ("imapc_host", plain(&self.imapc_host)),
            ("imapc_port", plain(&self.imapc_port)),
            ("imapc_master_user", plain(&self.imapc_master_user)),
            ("imapc_master_password", self.imapc_master_password.clone()),
            ("imapc_prefix", plain(&self.imapc_prefix)),
        ];
        conf.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// `exclude` for `exclude[0]`.
fn list_of(key: &str) -> &str {
    key.split('[').next().unwrap_or(key)
}

/// Reads `dmf.doveadm.source.*`.
pub(super) fn sources(reader: &mut Reader<'_>) -> BTreeMap<String, SourceSettings> {
    let names: BTreeSet<String> = reader.names("dmf.doveadm.source").into_iter().collect();
    names
        .into_iter()
        .map(|name| {
            let key = |rest: &str| format!("dmf.doveadm.source.{name}.{rest}");
            let settings = SourceSettings {
                imapc_host: reader.string(&key("imapc.host")),
                imapc_port: reader.string(&key("imapc.port")),
                imapc_master_user: reader.string(&key("imapc.master-user")),
                imapc_master_password: reader.secret(&key("imapc.master-password")),
                imapc_prefix: reader.string(&key("imapc.prefix")),
                migration1: command(reader, &key("command.migration1")),
                migration2: command(reader, &key("command.migration2")),
                status: command(reader, &key("command.status")),
                inject: reader.secret_map(&key("command.inject")),
            };
            (name, settings)
        })
        .collect()
}
