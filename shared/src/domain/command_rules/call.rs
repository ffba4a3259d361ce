//! A doveadm command as its parts: settings of the base command, words, options and destination.

use super::{
    Origin, Rules, Stage,
    getopt::{self, Reading},
    has_hole, level_path, settings,
};
use crate::domain::command::{Command, CommandOption, Fault, join};

/// What a doveadm command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `backup`: makes one side equal to the other.
    Backup,
    /// `sync`: merges.
    Sync,
    /// `mailbox status`: counts.
    Status,
    /// Anything else.
    Other,
}

/// A text of the command and its place.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) path: String,
}

/// Output formats that can be read again.
const FORMATS: [&str; 3] = ["tab", "json", "flow"];

const EXCLUDE_IN_BASE: &str = "the folders to leave out are options of backup or sync (-x), not of doveadm itself: put them into the sub command";

/// A doveadm command taken apart.
pub struct DoveadmCall<'c> {
    base: &'c Command,
    /// All after the base command, flattened as argv will have it.
    tail: Vec<Token>,
    verb: Verb,
    stage: Stage,
}

impl<'c> DoveadmCall<'c> {
    /// Takes the command apart; it must be named doveadm.
    pub fn read(base: &'c Command, stage: Stage) -> Self {
        let mut tail = Vec::new();
        for (depth, level) in base.levels().enumerate().skip(1) {
            flatten(level, &level_path(depth), stage, &mut tail);
        }
        let words: Vec<&str> = tail.iter().take(2).map(|token| token.text.as_str()).collect();
        let verb = match words.as_slice() {
            ["backup", ..] => Verb::Backup,
            ["sync", ..] => Verb::Sync,
            ["mailbox", "status", ..] => Verb::Status,
            _ => Verb::Other,
        };
        Self { base, tail, verb, stage }
    }

    /// What the command does.
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// The user of `-u`; `None` where there is none, or more than one.
    pub fn user(&self) -> Option<&str> {
        let reading = self.options()?;
        let mut users = reading.all('u');
        let user = users.next()?.value;
        if users.next().is_some() { None } else { user }
    }

    fn options(&self) -> Option<Reading<'_>> {
        match self.verb {
            Verb::Backup | Verb::Sync => Some(getopt::read(&self.tail[1..], &getopt::DSYNC)),
            Verb::Status => Some(getopt::read(&self.tail[2..], &getopt::STATUS)),
            Verb::Other => None,
        }
    }

    pub(super) fn check(&self, rules: &Rules, faults: &mut Vec<Fault>) {
        self.check_base(rules, faults);
        let Some(first) = self.tail.first() else {
            faults.push(Fault::new("subCommand", "doveadm needs a sub command, such as backup"));
            return;
        };
        if self.stage == Stage::Template && has_hole(&first.text) {
            faults
                .push(Fault::new(&first.path, "the sub command must be named as it is, without properties"));
            return;
        }
        let Some(reading) = self.options() else {
            if rules.origin == Origin::Api {
                let message = "of doveadm only backup, sync and mailbox status may be run by the API";
                faults.push(Fault::new(&first.path, message));
            }
            return;
        };
        if let Some((token, message)) = &reading.fault {
            faults.push(Fault::new(&token.path, message.clone()));
            return;
        }
        self.check_users(&reading, faults);
        check_forbidden(&reading, rules, faults);
        match self.verb {
            Verb::Status => self.check_status(&reading, faults),
            _ => self.check_dsync(&reading, rules, faults),
        }
    }

    fn check_base(&self, rules: &Rules, faults: &mut Vec<Fault>) {
        for (index, flag) in self.base.flags.iter().enumerate() {
            let known =
                flag.len() > 1 && flag.starts_with('-') && flag[1..].chars().all(|c| "Dv".contains(c));
            if self.is_exclusion(flag) {
                faults.push(Fault::new(format!("flags[{index}]"), EXCLUDE_IN_BASE));
            } else if !known && !self.is_list_hole(flag) {
                let message = "doveadm itself takes no flags but -D and -v";
                faults.push(Fault::new(format!("flags[{index}]"), message));
            }
        }
        for (index, option) in self.base.options.iter().enumerate() {
            self.check_option(option, &format!("options[{index}]"), rules, faults);
        }
        for (index, argument) in self.base.arguments.iter().enumerate() {
            if self.is_exclusion(argument) {
                faults.push(Fault::new(format!("arguments[{index}]"), EXCLUDE_IN_BASE));
            } else if !self.is_list_hole(argument) {
                let message = "doveadm itself takes no arguments: they belong to its sub command";
                faults.push(Fault::new(format!("arguments[{index}]"), message));
            }
        }
    }

    fn check_option(&self, option: &CommandOption, path: &str, rules: &Rules, faults: &mut Vec<Fault>) {
        let value_path = join(path, "value");
        match option.name.as_str() {
            "-f" if !FORMATS.contains(&option.value.as_str()) => {
                let message = format!("the output can be read as {} only", FORMATS.join(", "));
                faults.push(Fault::new(value_path, message));
            }
            "-c" if rules.origin == Origin::Api => {
                faults.push(Fault::new(join(path, "name"), "-c may not come from outside"));
            }
            "-f" | "-c" => {}
            "-D" | "-v" => {
                let message = format!("{} takes no value: write it as a flag", option.name);
                faults.push(Fault::new(join(path, "name"), message));
            }
            "-o" if self.is_list_hole(&option.value) => {}
            "-o" => match settings::split_setting(&option.value) {
                Some((key, value)) => self.check_setting(key, value, &value_path, rules, faults),
                None => faults.push(Fault::new(value_path, "a setting has the form key=value")),
            },
            name if name.starts_with('-') => {
                let message = "doveadm itself takes no options but -o, -f and -c";
                faults.push(Fault::new(join(path, "name"), message));
            }
            name => self.check_setting(name, &option.value, &join(path, "name"), rules, faults),
        }
    }

    fn check_setting(&self, key: &str, value: &str, path: &str, rules: &Rules, faults: &mut Vec<Fault>) {
        let value = if self.stage == Stage::Template && has_hole(value) { None } else { Some(value) };
        let fault = if self.stage == Stage::Template && has_hole(key) {
            Some("the name of a setting must be written as it is, without properties".to_owned())
        } else if let Some(fault) = settings::setting_key_fault(key) {
            Some(fault)
        } else if rules.origin == Origin::Api {
            settings::api_fault(key, value, rules.settings.as_deref())
        } else {
            None
        };
        if let Some(message) = fault {
            faults.push(Fault::new(path, message));
        }
    }

    fn check_users(&self, reading: &Reading<'_>, faults: &mut Vec<Fault>) {
        let mut users = reading.all('u');
        let Some(user) = users.next() else {
            let message = "the option -u with the user is missing";
            faults.push(Fault::new(self.last_path(), message));
            return;
        };
        if let Some(second) = users.next() {
            faults.push(Fault::new(&second.token.path, "-u is given twice"));
        }
        let value = user.value.unwrap_or_default();
        if self.stage == Stage::Template && has_hole(value) {
            return;
        }
        let message = if value.is_empty() {
            "the user of -u is empty"
        } else if value.contains(['*', '?']) {
            "the user of -u holds * or ?, which doveadm takes for a mask over users"
        } else if value.contains('\0') {
            "the user of -u holds a NUL character"
        } else {
            return;
        };
        faults.push(Fault::new(&user.token.path, message));
    }

    fn check_status(&self, reading: &Reading<'_>, faults: &mut Vec<Fault>) {
        if reading.words.len() < 2 {
            let message = "mailbox status needs its fields and at least one mailbox";
            faults.push(Fault::new(self.last_path(), message));
        }
    }

    fn check_dsync(&self, reading: &Reading<'_>, rules: &Rules, faults: &mut Vec<Fault>) {
        let from_source = reading.has('R') && (self.verb == Verb::Backup || reading.has('1'));
        if !from_source && !rules.write_to_source {
            let message = "this direction writes to the source: only backup -R and sync -1 -R are run; the worker's setting dmf.worker.doveadm.allow-write-to-source allows others";
            faults.push(Fault::new(&self.tail[0].path, message));
        }
        let Some((destination, after)) = reading.words.split_first() else {
            faults.push(Fault::new(self.last_path(), "the destination imapc: is missing"));
            return;
        };
        if let Some(extra) = after.first() {
            let message =
                "nothing may follow the destination: doveadm would run it as a command; options go before it";
            faults.push(Fault::new(&extra.path, message));
        }
        self.check_destination(destination, rules, faults);
    }

    fn check_destination(&self, destination: &Token, rules: &Rules, faults: &mut Vec<Fault>) {
        let text = destination.text.as_str();
        if text == "imapc:" || (self.stage == Stage::Template && has_hole(text)) {
            return;
        }
        let message = if text.starts_with("tcp:") || text.starts_with("tcps:") {
            if rules.doveadm_protocol {
                return;
            }
            "the destinations tcp: and tcps: are refused; the worker's setting dmf.worker.doveadm.allow-doveadm-protocol allows them"
        } else {
            "the destination must be imapc:"
        };
        faults.push(Fault::new(&destination.path, message));
    }

    /// Where something that is missing should stand.
    fn last_path(&self) -> String {
        level_path(self.base.levels().count().saturating_sub(1))
    }

    fn is_exclusion(&self, text: &str) -> bool {
        self.stage == Stage::Template && matches!(text, "%{mdb:exclude}" | "{%mdb:exclude}")
    }

    fn is_list_hole(&self, text: &str) -> bool {
        self.stage == Stage::Template && is_list_hole(text)
    }
}

/// Options that reach beyond the one user and its mail.
fn check_forbidden(reading: &Reading<'_>, rules: &Rules, faults: &mut Vec<Fault>) {
    let forbidden = match rules.origin {
        Origin::Api => "AFdSrE",
        Origin::Worker => "AFd",
    };
    for option in reading.options.iter().filter(|option| forbidden.contains(option.letter)) {
        let message = format!("the option -{} may not be used here", option.letter);
        faults.push(Fault::new(&option.token.path, message));
    }
}

/// A list that stands alone: it becomes options, wherever it is written.
fn is_list_hole(text: &str) -> bool {
    matches!(text, "%{mdb:exclude}" | "{%mdb:exclude}" | "%{mdb:imapcoptions}" | "{%mdb:imapcoptions}")
}

fn flatten(level: &Command, path: &str, stage: Stage, tail: &mut Vec<Token>) {
    let mut push = |text: &str, path: String| {
        if stage == Stage::Rendered || !is_list_hole(text) {
            tail.push(Token { text: text.to_owned(), path });
        }
    };
    push(&level.name, join(path, "name"));
    for (index, flag) in level.flags.iter().enumerate() {
        push(flag, join(path, &format!("flags[{index}]")));
    }
    for (index, option) in level.options.iter().enumerate() {
        if stage == Stage::Template && is_list_hole(&option.value) {
            continue;
        }
        push(&option.name, join(path, &format!("options[{index}].name")));
        push(&option.value, join(path, &format!("options[{index}].value")));
    }
    for (index, argument) in level.arguments.iter().enumerate() {
        push(argument, join(path, &format!("arguments[{index}]")));
    }
}
