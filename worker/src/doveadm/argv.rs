//! From a rendered command to what is executed: a program, an argv without any secret, and the configuration
//! that carries the secrets.

mod display;
mod setting;

use dmf_shared::domain::{
    command::Fault,
    command_rules::{self, DoveadmCall, Rules, Stage, Verb, imapc_option_fault, is_doveadm},
    inject::{Item, ListProperty, RenderedCommand, RenderedLevel, RenderedOption},
};
use secrecy::SecretString;

use self::{display::quote, setting::Settings};
use super::{classify::RunKind, secret_config, version::Version};

/// Where doveadm finds its configuration when nothing else is said.
pub const DEFAULT_CONFIG: &str = "/etc/dovecot/dovecot.conf";
/// The configuration on standard input.
const STDIN_CONFIG: &str = "/proc/self/fd/0";

/// The doveadm of this machine, and what the worker adds to its commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoveadmSetup {
    /// The binary: `dmf.doveadm.path`.
    pub program: String,
    /// `dmf.doveadm.config`, where it is not doveadm's own default.
    pub config: Option<String>,
    /// What `doveadm --version` (`dovecot --version` before 2.4) said.
    pub version: Version,
    /// The value of `dovecot_config_version` in the configuration (2.4); without it, that of the version.
    pub config_version: Option<String>,
    /// What `doveconf -h mail_plugins` said; whole lines in any form.
    pub mail_plugins: String,
    /// What is set on `backup` and `sync`, so that mails can be counted.
    pub mail_log: MailLog,
    /// `dmf.worker.imapc-options.allow`.
    pub imapc_options: Vec<String>,
}

/// Which settings of the `mail_log` plugin are ours: they make doveadm tell each mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLog {
    /// `mail_plugins` gets `notify` and `mail_log` besides what it has.
    pub plugins: bool,
    /// `mail_log_events` gets `save`, `copy` and `expunge` besides what the command says.
    pub events: bool,
    /// `mail_log_fields` is `uid box`, whatever the command says: more of them can't be told from a mailbox's name.
    pub fields: bool,
}

impl MailLog {
    /// All of them.
    pub const ALL: Self = Self { plugins: true, events: true, fields: true };
    /// None: saved and expunged mails are counted only where the command itself says all that it takes.
    pub const NONE: Self = Self { plugins: false, events: false, fields: false };
}

/// What to execute.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The program.
    pub program: String,
    /// Its arguments, the program not included. No secret is among them.
    pub args: Vec<String>,
    /// The content of its standard input: a configuration with the secrets. `None`: nothing to read.
    pub stdin_config: Option<SecretString>,
    /// What it does, for reading its output.
    pub kind: RunKind,
    /// The exit code that means success.
    pub success_code: i32,
    /// Whether a master user logs in for the user.
    pub master_user: bool,
    shown: Vec<String>,
    display: String,
}

impl Invocation {
    /// The command for people: with `<hidden>` in the place of passwords, items with spaces in quotes.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The same item by item, the program first. Passwords stand where they were written, although they
    /// go another way.
    pub fn shown(&self) -> &[String] {
        &self.shown
    }
}

/// The items as one line.
fn line(items: &[String]) -> String {
    items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(" ")
}

/// Builds what is executed, or tells all that is against it.
pub fn build(
    command: &RenderedCommand,
    setup: &DoveadmSetup,
    rules: &Rules,
) -> Result<Invocation, Vec<Fault>> {
    let mut command = command.clone();
    if !command.levels.first().is_some_and(|base| is_doveadm(base.name.expose())) {
        return build_other(&command, rules);
    }
    let mut faults = move_lists(&mut command, &setup.imapc_options);
    let plain = command.to_command();
    faults.extend(command_rules::check(&plain, rules, Stage::Rendered));
    faults.extend(exposed_secrets(&command));
    if !faults.is_empty() {
        return Err(faults);
    }
    let verb = DoveadmCall::read(&plain, Stage::Rendered).verb();
    assemble(&command, verb, setup).map_err(|message| vec![Fault::new("", message)])
}

/// Any other program: its argv as it is.
fn build_other(command: &RenderedCommand, rules: &Rules) -> Result<Invocation, Vec<Fault>> {
    let mut faults = command_rules::check(&command.to_command(), rules, Stage::Rendered);
    if command.items().any(Item::is_secret) {
        faults.push(Fault::new("", SECRET_IN_ARGV));
    }
    let mut items = command.items().map(|item| item.expose().to_owned());
    let program = items.next().unwrap_or_default();
    if program.is_empty() {
        faults.push(Fault::new("name", "is empty"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let shown: Vec<String> = command.items().map(Item::shown).collect();
    Ok(Invocation {
        program,
        args: items.collect(),
        stdin_config: None,
        kind: RunKind::Other,
        success_code: command.success_code,
        master_user: false,
        display: line(&shown),
        shown,
    })
}

const SECRET_IN_ARGV: &str = "a password stands where every process of the machine can read it; it may stand only in a setting of doveadm";

/// Puts the items of lists where doveadm takes them: exclusions become options, so that they come before the
/// destination; a user's settings become settings of the base command.
fn move_lists(command: &mut RenderedCommand, allowed: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut settings = Vec::new();
    for level in &mut command.levels {
        let moved = take_lists(level);
        for (list, value) in moved {
            match list {
                ListProperty::Exclude => level.options.push(option(list, value)),
                ListProperty::ImapcOptions => settings.push(option(list, value)),
            }
        }
    }
    let own = command.levels.iter().flat_map(|level| &level.options);
    for option in own.chain(&settings) {
        if option.value.list() == Some(ListProperty::ImapcOptions)
            && let Some(message) = imapc_option_fault(option.value.expose(), allowed)
        {
            faults.push(Fault::new("", message));
        }
    }
    if let Some(base) = command.levels.first_mut() {
        base.options.extend(settings);
    }
    faults
}

fn option(list: ListProperty, value: Item) -> RenderedOption {
    RenderedOption { name: Item::literal(list.option()), value }
}

/// Takes the values of lists from flags and arguments; a list wrote its option before each value.
fn take_lists(level: &mut RenderedLevel) -> Vec<(ListProperty, Item)> {
    let mut moved = Vec::new();
    for items in [&mut level.flags, &mut level.arguments] {
        let (lists, rest): (Vec<Item>, Vec<Item>) =
            std::mem::take(items).into_iter().partition(|item| item.list().is_some());
        *items = rest;
        let values = lists.into_iter().skip(1).step_by(2);
        moved.extend(values.filter_map(|value| Some((value.list()?, value))));
    }
    moved
}

/// Passwords anywhere but in the settings of the base command.
fn exposed_secrets(command: &RenderedCommand) -> Option<Fault> {
    let base = command.levels.first()?;
    let of_base = std::iter::once(&base.name)
        .chain(&base.flags)
        .chain(base.options.iter().filter(|option| is_plain_option(option)).map(|option| &option.value))
        .chain(base.options.iter().map(|option| &option.name))
        .chain(&base.arguments);
    let below = command.levels.iter().skip(1).flat_map(RenderedLevel::items);
    of_base.chain(below).any(Item::is_secret).then(|| Fault::new("", SECRET_IN_ARGV))
}

/// `-f` and `-c`: options of doveadm itself that are no settings.
fn is_plain_option(option: &RenderedOption) -> bool {
    matches!(option.name.expose(), "-f" | "-c")
}

fn assemble(command: &RenderedCommand, verb: Verb, setup: &DoveadmSetup) -> Result<Invocation, String> {
    let Some((base, below)) = command.levels.split_first() else {
        return Err("the command is empty".to_owned());
    };
    let dialect = setup.version.dialect();
    let (plain, settings): (Vec<_>, Vec<_>) = base.options.iter().partition(|option| is_plain_option(option));
    let mut settings = Settings::read(&settings);
    settings.translate_remote(dialect);
    settings.resolve_plugins(&setup.mail_plugins);
    if matches!(verb, Verb::Backup | Verb::Sync) {
        settings.add_mail_log(setup.mail_log, &setup.mail_plugins, dialect);
    }

    let mut args: Vec<String> = base.flags.iter().map(|flag| flag.expose().to_owned()).collect();
    let mut shown: Vec<String> = args.clone();
    let mut config = setup.config.clone();
    for option in plain {
        let (name, value) = (option.name.expose(), option.value.expose().to_owned());
        if name == "-c" {
            config = Some(value);
        } else {
            args.extend([name.to_owned(), value.clone()]);
            shown.extend([name.to_owned(), value]);
        }
    }
    if let Some(config) = &config {
        shown.splice(0..0, ["-c".to_owned(), config.clone()]);
    }
    let secrets = settings.take_secrets();
    let stdin_config = if secrets.is_empty() {
        if let Some(config) = config {
            args.splice(0..0, ["-c".to_owned(), config]);
        }
        None
    } else {
        args.splice(0..0, ["-c".to_owned(), STDIN_CONFIG.to_owned()]);
        let main = config.as_deref().unwrap_or(DEFAULT_CONFIG);
        Some(secret_config::write(main, &setup.version, setup.config_version.as_deref(), &secrets)?)
    };
    args.extend(settings.args());
    shown.extend(settings.shown());
    let tail: Vec<String> =
        below.iter().flat_map(RenderedLevel::items).map(|item| item.expose().to_owned()).collect();
    shown.extend(tail.iter().cloned());
    args.extend(tail);
    shown.insert(0, setup.program.clone());
    Ok(Invocation {
        program: setup.program.clone(),
        kind: kind_of(verb, settings.is_remote()),
        args,
        stdin_config,
        success_code: command.success_code,
        master_user: settings.has_master_user(),
        display: line(&shown),
        shown,
    })
}

const fn kind_of(verb: Verb, remote: bool) -> RunKind {
    match verb {
        Verb::Backup | Verb::Sync => RunKind::Sync,
        Verb::Status if remote => RunKind::RemoteCount,
        Verb::Status => RunKind::LocalCount,
        Verb::Other => RunKind::Other,
    }
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
