//! Passwords in commands: which they are, and commands without them.

use super::{Command, CommandOption, Fault, join};

/// What doveadm settings carry passwords: their values are hidden in all that is stored or logged.
pub const PASSWORD_SETTINGS: [&str; 5] = [
    "imapc_password",
    "imapc_master_password",
    "pop3c_password",
    "pop3c_master_password",
    "doveadm_password",
];

/// What stands in the place of a password.
pub const HIDDEN: &str = "<hidden>";

impl Command {
    /// The command with the values of passwords replaced by [`HIDDEN`], unless they are a property: for logs
    /// and answers.
    #[must_use]
    pub fn without_passwords(&self) -> Self {
        let options = self.options.iter().map(|option| CommandOption {
            name: option.name.clone(),
            value: hide_value(&option.name, &option.value),
        });
        Self {
            name: self.name.clone(),
            success_code: self.success_code,
            flags: self.flags.iter().map(|text| hide_assignment(text)).collect(),
            options: options.collect(),
            arguments: self.arguments.iter().map(|text| hide_assignment(text)).collect(),
            sub_command: self.sub_command.as_ref().map(|sub| Box::new(sub.without_passwords())),
        }
    }
}

/// The places of texts that were hidden by [`Command::without_passwords`] and never filled in again.
pub(crate) fn hidden_faults(command: &Command) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut level_path = String::new();
    for level in command.levels() {
        let options = level.options.iter().map(|option| &option.value).enumerate();
        let options = options.map(|(index, text)| (format!("options[{index}].value"), text));
        let flags = level.flags.iter().enumerate();
        let flags = flags.map(|(index, text)| (format!("flags[{index}]"), text));
        let arguments = level.arguments.iter().enumerate();
        let arguments = arguments.map(|(index, text)| (format!("arguments[{index}]"), text));
        for (path, text) in flags.chain(options).chain(arguments) {
            if text == HIDDEN || text.ends_with(&format!("={HIDDEN}")) {
                let message =
                    format!("{HIDDEN} stands for a password that is not shown; give the password itself");
                faults.push(Fault::new(join(&level_path, &path), message));
            }
        }
        level_path = join(&level_path, "subCommand");
    }
    faults
}

/// True for a setting whose value is a password, with or without a `plugin/` or filter path before it.
pub fn is_password_setting(setting: &str) -> bool {
    let last = setting.rsplit('/').next().unwrap_or(setting);
    PASSWORD_SETTINGS.iter().any(|known| known.eq_ignore_ascii_case(last))
}

/// True for whatever is called a password: of other programs than doveadm the options are not known.
fn names_password(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd"].iter().any(|word| name.contains(word))
}

/// True for a text that is one property and nothing else, and so no secret itself.
fn is_lone_property(text: &str) -> bool {
    let inner = ["%{mdb:", "%{conf:", "{%mdb:", "{%conf:"].iter().find_map(|start| text.strip_prefix(start));
    let name = inner.and_then(|inner| inner.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}

/// The value of an option, unless it is a password.
pub(super) fn hide_value(name: &str, value: &str) -> String {
    if !names_password(name) {
        hide_assignment(value)
    } else if is_lone_property(value) {
        value.to_owned()
    } else {
        HIDDEN.to_owned()
    }
}

fn hide_assignment(text: &str) -> String {
    match text.split_once('=') {
        Some((key, value)) if names_password(key) && !is_lone_property(value) => format!("{key}={HIDDEN}"),
        _ => text.to_owned(),
    }
}
