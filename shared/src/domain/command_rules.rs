//! What a command may do. A command that came in by the API is no shell on every mail backend, and no doveadm
//! command, wherever it came from, may write to the source or run for more than one user by accident.
//!
//! The same rules look at a command twice: as a template when it is stored, where injected texts are not known
//! yet, and rendered, before it runs. [`Rules::api`] knows no worker and refuses what no worker may allow.

mod call;
mod getopt;
mod settings;

pub use call::{DoveadmCall, Verb};
pub use settings::{
    forbidden_setting_fault, imapc_option_fault, setting_key_fault, split_imapc_options, split_setting,
};

use serde_json::Value;

use super::{
    command::{Command, Fault, hidden_faults, join},
    inject::CommandTemplate,
};

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Sent by an administrator over HTTP.
    Api,
    /// Written in the worker's own configuration.
    Worker,
}

/// Whether properties are already injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Texts may hold `%{…}`, whose values are not known.
    Template,
    /// Every text is what will run.
    Rendered,
}

/// What is allowed beyond the fixed rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Where the command came from.
    pub origin: Origin,
    /// `dmf.worker.command.allow`: programs that a command of the API may name; `None` where not known.
    pub programs: Option<Vec<String>>,
    /// `dmf.worker.doveadm-settings.allow`: names or patterns (`imapc_*`) of settings that a command of the
    /// API may set besides the harmless ones; `None` where not known.
    pub settings: Option<Vec<String>>,
    /// Destinations `tcp:` and `tcps:` (the doveadm protocol).
    pub doveadm_protocol: bool,
    /// `backup` without `-R` and a `sync` that is not `-1 -R`, which write to the source.
    pub write_to_source: bool,
}

impl Rules {
    /// What can be refused without knowing a worker.
    pub const fn api() -> Self {
        Self {
            origin: Origin::Api,
            programs: None,
            settings: None,
            doveadm_protocol: true,
            write_to_source: true,
        }
    }

    /// A worker's rules with nothing allowed beyond the defaults: of the API, only doveadm.
    pub fn worker(origin: Origin) -> Self {
        Self {
            origin,
            programs: Some(vec!["doveadm".to_owned()]),
            settings: Some(Vec::new()),
            doveadm_protocol: false,
            write_to_source: false,
        }
    }
}

/// True for `doveadm` or a path ending in it.
pub fn is_doveadm(name: &str) -> bool {
    name.rsplit('/').next() == Some("doveadm")
}

/// True when the text has a hole whose value is not known yet.
fn has_hole(text: &str) -> bool {
    ["%{mdb:", "%{conf:", "{%mdb:", "{%conf:"].iter().any(|hole| text.contains(hole))
}

/// Reads a command that came in by the API and checks all of it that needs no worker: form, properties, rules.
/// Gives the command with its warnings, or all faults at once; paths start at the command.
pub fn read_from_api(value: &Value) -> Result<(Command, Vec<Fault>), Vec<Fault>> {
    let command = Command::from_value(value)?;
    let compiled = CommandTemplate::compile(&command);
    let mut faults = check(&command, &Rules::api(), Stage::Template);
    faults.extend(hidden_faults(&command));
    match compiled {
        Ok(compiled) if faults.is_empty() => Ok((command, compiled.warnings)),
        Ok(_) => Err(faults),
        Err(mut of_properties) => {
            of_properties.append(&mut faults);
            Err(of_properties)
        }
    }
}

/// All that the rules have against `command`. A placeholder (`ignore`) is never at fault: it does not run.
pub fn check(command: &Command, rules: &Rules, stage: Stage) -> Vec<Fault> {
    let mut faults = Vec::new();
    if command.is_placeholder() && rules.origin == Origin::Api && !is_doveadm(&command.name) {
        return faults;
    }
    check_program(command, rules, stage, &mut faults);
    if is_doveadm(&command.name) {
        let call = DoveadmCall::read(command, stage);
        call.check(rules, &mut faults);
    }
    faults
}

fn check_program(command: &Command, rules: &Rules, stage: Stage, faults: &mut Vec<Fault>) {
    if rules.origin == Origin::Worker {
        return;
    }
    if stage == Stage::Template && has_hole(&command.name) {
        faults.push(Fault::new("name", "the program must be named as it is, without properties"));
        return;
    }
    let Some(programs) = &rules.programs else { return };
    let allowed = programs
        .iter()
        .any(|program| *program == command.name || (is_doveadm(&command.name) && program == "doveadm"));
    if !allowed {
        let message = format!(
            "the program {} is not on the worker's list dmf.worker.command.allow ({})",
            command.name,
            programs.join(", ")
        );
        faults.push(Fault::new("name", message));
    }
}

/// The path of the sub command at `depth` (0 is the whole command).
fn level_path(depth: usize) -> String {
    (0..depth).fold(String::new(), |path, _| join(&path, "subCommand"))
}

#[cfg(test)]
mod tests;
