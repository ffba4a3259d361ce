//! What will run: the commands of this migration, rendered for its user and checked, before anything
//! is started.

use std::collections::BTreeMap;

use dmf_shared::{
    domain::{
        command::{Command, Fault},
        command_rules::{Origin, Rules},
        inject::{CommandTemplate, Properties, RenderedCommand},
        migration::Phase,
    },
    store::Claimed,
};
use secrecy::SecretString;
use serde_json::json;

use super::details::Block;
use crate::{
    doveadm::{
        argv::{self, DoveadmSetup, Invocation},
        status_command,
    },
    settings::{Settings, SourceSettings},
};

/// The commands of one migration.
#[derive(Debug)]
pub(super) struct Plan {
    /// Counts the target.
    pub(super) local_count: Invocation,
    /// Copies.
    pub(super) sync: Invocation,
    /// Counts the source; a count that can't be made is recorded and fails nothing.
    pub(super) remote_count: Result<Invocation, Refused>,
}

/// Everything that is against a command; nothing of it ran.
#[derive(Debug)]
pub(super) struct Refused(Vec<String>);

impl Refused {
    /// The block of the step that did not run.
    pub(super) fn block(&self) -> Block {
        let mut block = Block::default();
        block.set("success", false).set("outcome", "configuration").set("errors", json!(self.0));
        block
    }
}

impl From<Vec<Fault>> for Refused {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults.iter().map(ToString::to_string).collect())
    }
}

impl Plan {
    /// Chooses, renders and checks the commands.
    pub(super) fn make(
        settings: &Settings,
        setup: &DoveadmSetup,
        claimed: &Claimed,
    ) -> Result<Self, Refused> {
        let source = settings.source(claimed.source.name.as_str());
        let properties = properties(settings, &source, claimed)?;
        let worker_rules = Rules::worker(Origin::Worker);
        let local = status_command::local(&properties)?;
        Ok(Self {
            local_count: argv::build(&local, setup, &worker_rules)?,
            sync: sync(setup, &source, claimed, &properties)?,
            remote_count: remote_count(setup, &source, claimed, &properties),
        })
    }
}

/// The command that runs, and where it came from: the worker's own wins over that of the API.
fn choose<'c>(worker: Option<&'c Command>, api: Option<&'c Command>) -> Option<(&'c Command, Origin)> {
    let api = api.filter(|command| !command.is_placeholder());
    worker.map(|command| (command, Origin::Worker)).or(api.map(|command| (command, Origin::Api)))
}

fn sync(
    setup: &DoveadmSetup,
    source: &SourceSettings,
    claimed: &Claimed,
    properties: &Properties,
) -> Result<Invocation, Refused> {
    let host = &claimed.host.definition;
    let first = choose(source.migration1.as_ref(), Some(&host.migration_command1));
    let chosen = match claimed.phase {
        Phase::PreSync => first,
        Phase::Cutover => choose(source.migration2.as_ref(), host.migration_command2.as_ref()).or(first),
    };
    let Some((command, origin)) = chosen else {
        return Err(Refused(vec![format!(
            "the source host names no command, and neither dmf.doveadm.source.{}.command.migration1 nor that of \
             default is configured in this worker",
            claimed.source.name
        )]));
    };
    build(command, origin, setup, properties)
}

fn remote_count(
    setup: &DoveadmSetup,
    source: &SourceSettings,
    claimed: &Claimed,
    properties: &Properties,
) -> Result<Invocation, Refused> {
    let host = &claimed.host.definition;
    if let Some((command, origin)) = choose(source.status.as_ref(), host.status_command.as_ref()) {
        return build(command, origin, setup, properties);
    }
    let command = status_command::remote(properties)?;
    Ok(argv::build(&command, setup, &Rules::worker(Origin::Worker))?)
}

/// A hook for this user, and the user's password, which only its environment may hold.
pub(super) fn hook(
    settings: &Settings,
    setup: &DoveadmSetup,
    claimed: &Claimed,
    command: &Command,
) -> Result<(Invocation, Option<SecretString>), Refused> {
    let source = settings.source(claimed.source.name.as_str());
    let properties = properties(settings, &source, claimed)?;
    let invocation = build(command, Origin::Worker, setup, &properties)?;
    Ok((invocation, properties.sourcepasswd))
}

fn build(
    command: &Command,
    origin: Origin,
    setup: &DoveadmSetup,
    properties: &Properties,
) -> Result<Invocation, Refused> {
    let rendered = render(command, properties)?;
    Ok(argv::build(&rendered, setup, &Rules::worker(origin))?)
}

fn render(command: &Command, properties: &Properties) -> Result<RenderedCommand, Vec<Fault>> {
    let compiled = CommandTemplate::compile(command)?;
    for warning in &compiled.warnings {
        tracing::warn!(%warning, "the command is doubtful");
    }
    let unknown = compiled.template.unknown_conf(properties);
    if unknown.is_empty() { compiled.template.render(properties) } else { Err(unknown) }
}

fn properties(
    settings: &Settings,
    source: &SourceSettings,
    claimed: &Claimed,
) -> Result<Properties, Refused> {
    let user = &claimed.user;
    let password = match &user.password {
        None => None,
        Some(sealed) => Some(
            settings
                .keys
                .open(sealed, claimed.source.id, &user.source_uid)
                .map_err(|error| Refused(vec![format!("the user's password: {error}")]))?,
        ),
    };
    let conf = [
        ("imapc_host", source.imapc_host.clone().map(Into::into)),
        ("imapc_port", source.imapc_port.clone().map(Into::into)),
        ("imapc_master_user", source.imapc_master_user.clone().map(Into::into)),
        ("imapc_master_password", source.imapc_master_password.clone()),
        ("imapc_prefix", source.imapc_prefix.clone().map(Into::into)),
    ];
    let conf: BTreeMap<_, _> =
        conf.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Ok(Properties {
        uid: Some(user.target_uid.clone()),
        ruid: Some(user.source_uid.clone()),
        sourcehost: Some(claimed.host.definition.name.clone()),
        container: user.container.clone(),
        source: Some(claimed.source.name.to_string()),
        sourcepasswd: password,
        imapcoptions: Some(user.imapc_options.clone()),
        email: user.email.clone(),
        sourceport: user.sourceport.or(claimed.host.definition.port),
        imapc_ssl: user.use_imapc_ssl,
        exclude: Some(user.exclude_folders.clone()),
        conf,
        inject: source.inject.clone(),
    })
}
