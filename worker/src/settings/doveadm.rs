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
use crate::process::RunAs;

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

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            programs: reader.list("dmf.worker.command.allow").unwrap_or_else(|| vec!["doveadm".to_owned()]),
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
            path: reader.path("dmf.doveadm.path").unwrap_or_else(|| PathBuf::from("/usr/bin/doveadm")),
            config: reader
                .path("dmf.doveadm.config")
                .unwrap_or_else(|| PathBuf::from("/etc/dovecot/dovecot.conf")),
            user: reader.string("dmf.doveadm.user"),
            allow: Allowances::read(reader),
        }
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
            Ok(None) => Err(format!("dmf.doveadm.user: there is no user {name}")),
            Err(error) => Err(format!("dmf.doveadm.user: {error}")),
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
