//! What will run: the commands of this migration, rendered for its user and checked, before anything
//! is started.

use dmf_shared::{
    domain::{
        command::{Command, Fault},
        command_rules::Origin,
        inject::{CommandTemplate, ConfName, Properties, RenderedCommand, is_secret_key},
        migration::Phase,
    },
    store::Claimed,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{details::Block, secrets::Secrets};
use crate::{
    doveadm::{
        argv::{self, DoveadmSetup, Invocation},
        status_command,
    },
    settings::{CommandSettings, SourceSettings},
};

/// The commands of one migration.
#[derive(Debug)]
pub struct Plan {
    /// Counts the target.
    pub local_count: Invocation,
    /// Copies.
    pub sync: Invocation,
    /// Counts the source; a count that can't be made is recorded and fails nothing.
    pub remote_count: Result<Invocation, Refused>,
    /// What the source's folders lie below; the target's names are without it.
    pub list_prefix: Option<String>,
}

/// Everything that is against a command; nothing of it ran.
#[derive(Debug)]
pub struct Refused(Vec<String>);

impl Refused {
    /// The faults, each with its place in the command.
    pub fn faults(&self) -> &[String] {
        &self.0
    }

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

/// What renders commands for one migration.
#[derive(Debug)]
pub struct Planner<'a> {
    settings: &'a CommandSettings,
    setup: &'a DoveadmSetup,
    source: SourceSettings,
    claimed: &'a Claimed,
    properties: Properties,
}

impl<'a> Planner<'a> {
    /// Gathers the properties of the migration; refused when the user's password does not open.
    pub fn new(
        settings: &'a CommandSettings,
        setup: &'a DoveadmSetup,
        claimed: &'a Claimed,
    ) -> Result<Self, Refused> {
        let source = settings.source(claimed.source.name.as_str());
        let password = open_password(settings, claimed)?;
        let properties = properties(&source, claimed, password);
        Ok(Self { settings, setup, source, claimed, properties })
    }

    /// The same with a password that has no value.
    pub fn without_password(
        settings: &'a CommandSettings,
        setup: &'a DoveadmSetup,
        claimed: &'a Claimed,
    ) -> Self {
        let source = settings.source(claimed.source.name.as_str());
        let properties = properties(&source, claimed, None);
        Self { settings, setup, source, claimed, properties }
    }

    /// With another source password than the stored one.
    #[must_use]
    pub fn with_password(mut self, password: Option<SecretString>) -> Self {
        self.properties.sourcepasswd = password.or(self.properties.sourcepasswd);
        self
    }

    /// The passwords of this migration.
    pub(super) fn secrets(&self) -> Secrets {
        let (conf, inject) = (&self.properties.conf, &self.properties.inject);
        let configured = conf.iter().chain(inject).filter(|(key, _)| is_secret_key(key));
        let configured = configured.map(|(_, value)| value.clone());
        Secrets::new(configured.chain(self.properties.sourcepasswd.clone()))
    }

    /// What the source's folders lie below, as the sync command is told: those of the user win over those
    /// of the Source.
    pub(super) fn list_prefix(&self) -> Option<String> {
        let options = &self.claimed.user.imapc_options;
        let own = options.iter().rev().find_map(|option| option.strip_prefix("imapc_list_prefix="));
        own.map(str::to_owned).or_else(|| {
            let configured = self.properties.conf(ConfName::Prefix)?;
            Some(configured.expose_secret().to_owned())
        })
    }

    /// All commands that copy and count.
    pub fn plan(&self) -> Result<Plan, Refused> {
        let local = status_command::local(&self.properties)?;
        Ok(Plan {
            local_count: self.check(&local, Origin::Worker)?,
            sync: self.sync()?,
            remote_count: self.remote_count(),
            list_prefix: self.list_prefix(),
        })
    }

    /// A hook, and the user's password, which only its environment may hold.
    pub fn hook(&self, command: &Command) -> Result<(Invocation, Option<SecretString>), Refused> {
        Ok((self.build(command, Origin::Worker)?, self.properties.sourcepasswd.clone()))
    }

    /// A command of this origin for this user.
    pub fn build(&self, command: &Command, origin: Origin) -> Result<Invocation, Refused> {
        self.check(&render(command, &self.properties)?, origin)
    }

    fn check(&self, rendered: &RenderedCommand, origin: Origin) -> Result<Invocation, Refused> {
        Ok(argv::build(rendered, self.setup, &self.settings.doveadm.allow.rules(origin))?)
    }

    fn sync(&self) -> Result<Invocation, Refused> {
        let host = &self.claimed.host.definition;
        let first = choose(self.source.migration1.as_ref(), Some(&host.migration_command1));
        let chosen = match self.claimed.phase {
            Phase::PreSync => first,
            Phase::Cutover => {
                choose(self.source.migration2.as_ref(), host.migration_command2.as_ref()).or(first)
            }
        };
        let Some((command, origin)) = chosen else {
            return Err(Refused(vec![format!(
                "the source host names no command, and neither dmf.doveadm.source.{}.command.migration1 nor that \
                 of default is configured in this worker",
                self.claimed.source.name
            )]));
        };
        self.build(command, origin)
    }

    fn remote_count(&self) -> Result<Invocation, Refused> {
        let host = &self.claimed.host.definition;
        match choose(self.source.status.as_ref(), host.status_command.as_ref()) {
            Some((command, origin)) => self.build(command, origin),
            None => self.check(&status_command::remote(&self.properties)?, Origin::Worker),
        }
    }
}

/// The command that runs, and where it came from: the worker's own wins over that of the API.
fn choose<'c>(worker: Option<&'c Command>, api: Option<&'c Command>) -> Option<(&'c Command, Origin)> {
    let api = api.filter(|command| !command.is_placeholder());
    worker.map(|command| (command, Origin::Worker)).or(api.map(|command| (command, Origin::Api)))
}

fn render(command: &Command, properties: &Properties) -> Result<RenderedCommand, Vec<Fault>> {
    let compiled = CommandTemplate::compile(command)?;
    for warning in &compiled.warnings {
        tracing::warn!(%warning, "the command is doubtful");
    }
    let unknown = compiled.template.unknown_conf(properties);
    if unknown.is_empty() { compiled.template.render(properties) } else { Err(unknown) }
}

fn open_password(settings: &CommandSettings, claimed: &Claimed) -> Result<Option<SecretString>, Refused> {
    let user = &claimed.user;
    let Some(sealed) = &user.password else { return Ok(None) };
    match settings.keys.open(sealed, claimed.source.id, &user.source_uid) {
        Ok(password) => Ok(Some(password)),
        Err(error) => Err(Refused(vec![format!("the user's password: {error}")])),
    }
}

fn properties(source: &SourceSettings, claimed: &Claimed, password: Option<SecretString>) -> Properties {
    let user = &claimed.user;
    Properties {
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
        conf: source.conf(),
        inject: source.inject.clone(),
    }
}
