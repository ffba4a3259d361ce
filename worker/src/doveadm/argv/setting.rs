//! The settings of a doveadm command (`-o key=value`).

use dmf_shared::domain::{
    command::{HIDDEN, is_password_setting},
    command_rules::split_setting,
    inject::RenderedOption,
};
use secrecy::SecretString;

use crate::doveadm::{classify::names_source, secret_config::SecretSetting, version::Dialect};

/// What names the remote mailbox in 2.3.
const REMOTE_23: [&str; 2] = ["mail", "mail_location"];

enum Value {
    Plain(String),
    Secret(Option<SecretString>),
}

struct Setting {
    key: String,
    value: Value,
}

/// All settings in their order.
pub(super) struct Settings(Vec<Setting>);

impl Settings {
    /// Reads `-o key=value` and `name value`; the rules have seen them.
    pub(super) fn read(options: &[&RenderedOption]) -> Self {
        Self(options.iter().map(|option| read(option)).collect())
    }

    /// The remote mailbox in the words of the dialect: 2.4 ignores `mail=imapc:` without a word.
    pub(super) fn translate_remote(&mut self, dialect: Dialect) {
        match dialect {
            Dialect::V23 => {
                if self.value("mail_driver") == Some("imapc") {
                    self.0.retain(|setting| setting.key != "mail_path");
                    self.replace("mail_driver", &[("mail", "imapc:")]);
                }
            }
            Dialect::V24 => {
                for key in REMOTE_23 {
                    let path = self.value(key).filter(|value| names_source(key, value));
                    if let Some(path) = path.map(|value| value["imapc:".len()..].to_owned()) {
                        self.replace(key, &[("mail_driver", "imapc"), ("mail_path", &path)]);
                    }
                }
            }
        }
    }

    /// True when the command works on the remote mailbox instead of the local one.
    pub(super) fn is_remote(&self) -> bool {
        let mut keys = REMOTE_23.into_iter().chain(["mail_driver"]);
        keys.any(|key| self.value(key).is_some_and(|value| names_source(key, value)))
    }

    pub(super) fn has_master_user(&self) -> bool {
        self.value("imapc_master_user").is_some_and(|user| !user.is_empty())
    }

    /// What makes doveadm tell each mail; what the command says itself stays.
    pub(super) fn add_mail_log(&mut self, base_plugins: &str, dialect: Dialect) {
        let plugins = merge_plugins(self.value("mail_plugins").unwrap_or(base_plugins));
        self.0.retain(|setting| setting.key != "mail_plugins");
        self.push("mail_plugins", plugins);
        for (field, value) in [("mail_log_events", "save copy expunge"), ("mail_log_fields", "uid box")] {
            let old = format!("plugin/{field}");
            if self.value(field).is_none() && self.value(&old).is_none() {
                let key = if dialect == Dialect::V23 { &old } else { field };
                self.push(key, value.to_owned());
            }
        }
    }

    /// The secrets; they are still shown, as hidden, but no longer among the arguments.
    pub(super) fn take_secrets(&mut self) -> Vec<SecretSetting> {
        let secrets = self.0.iter_mut().filter_map(|setting| match &mut setting.value {
            Value::Plain(_) => None,
            Value::Secret(secret) => Some(SecretSetting { key: setting.key.clone(), value: secret.take()? }),
        });
        secrets.collect()
    }

    pub(super) fn args(&self) -> Vec<String> {
        let plain = self.0.iter().filter_map(|setting| match &setting.value {
            Value::Plain(value) => Some(["-o".to_owned(), format!("{}={value}", setting.key)]),
            Value::Secret(_) => None,
        });
        plain.flatten().collect()
    }

    pub(super) fn shown(&self) -> Vec<String> {
        let all = self.0.iter().map(|setting| {
            let value = match &setting.value {
                Value::Plain(value) => value.as_str(),
                Value::Secret(_) => HIDDEN,
            };
            ["-o".to_owned(), format!("{}={value}", setting.key)]
        });
        all.flatten().collect()
    }

    /// The value that counts: the last one.
    fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|setting| setting.key == key).and_then(|setting| match &setting.value {
            Value::Plain(value) => Some(value.as_str()),
            Value::Secret(_) => None,
        })
    }

    fn push(&mut self, key: &str, value: String) {
        self.0.push(Setting { key: key.to_owned(), value: Value::Plain(value) });
    }

    /// Puts other settings in the place of all with this key.
    fn replace(&mut self, key: &str, with: &[(&str, &str)]) {
        let Some(at) = self.0.iter().position(|setting| setting.key == key) else { return };
        self.0.retain(|setting| setting.key != key);
        let with = with
            .iter()
            .map(|(key, value)| Setting { key: (*key).to_owned(), value: Value::Plain((*value).to_owned()) });
        self.0.splice(at..at, with);
    }
}

fn read(option: &RenderedOption) -> Setting {
    let text = option.value.expose();
    let (key, start) = if option.name.expose() == "-o" {
        split_setting(text).map_or((text, text.len()), |(key, _)| (key, key.len() + 1))
    } else {
        (option.name.expose(), 0)
    };
    let value = text[start..].to_owned();
    let value = if option.value.is_secret() || is_password_setting(key) {
        Value::Secret(Some(value.into()))
    } else {
        Value::Plain(value)
    };
    Setting { key: key.to_owned(), value }
}

/// The plugins with those that tell each mail.
fn merge_plugins(base: &str) -> String {
    let separator = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '$');
    let mut plugins: Vec<&str> = Vec::new();
    for plugin in base.split(separator).chain(["notify", "mail_log"]) {
        if !plugin.is_empty() && !["mail_plugins", "yes"].contains(&plugin) && !plugins.contains(&plugin) {
            plugins.push(plugin);
        }
    }
    plugins.join(" ")
}
