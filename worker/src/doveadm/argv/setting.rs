//! The settings of a doveadm command (`-o key=value`).

use dmf_shared::domain::{
    command::{HIDDEN, is_password_setting},
    command_rules::split_setting,
    inject::RenderedOption,
};
use secrecy::SecretString;

use super::MailLog;
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

    /// `$mail_plugins` in the value of `-o` would reach doveadm as it stands: the plugins of the configuration
    /// take its place.
    pub(super) fn resolve_plugins(&mut self, base: &str) {
        if let Some(own) = self.value("mail_plugins").filter(|own| own.contains('$')) {
            let resolved = plugins(own, base).join(" ");
            self.0.retain(|setting| setting.key != "mail_plugins");
            self.push("mail_plugins", resolved);
        }
    }

    /// What makes doveadm tell each mail.
    pub(super) fn add_mail_log(&mut self, wanted: MailLog, base_plugins: &str, dialect: Dialect) {
        if wanted.plugins {
            let mut all = plugins(self.value("mail_plugins").unwrap_or("$mail_plugins"), base_plugins);
            add_missing(&mut all, &["notify", "mail_log"]);
            let all = all.join(" ");
            self.0.retain(|setting| setting.key != "mail_plugins");
            self.push("mail_plugins", all);
        }
        if wanted.events {
            let own = self.value("plugin/mail_log_events").or_else(|| self.value("mail_log_events"));
            let mut events = words(own.unwrap_or_default());
            add_missing(&mut events, &["save", "copy", "expunge"]);
            let events = events.join(" ");
            self.set_mail_log("mail_log_events", events, dialect);
        }
        if wanted.fields {
            self.set_mail_log("mail_log_fields", "uid box".to_owned(), dialect);
        }
    }

    /// Sets it in the words of the dialect and in no others.
    fn set_mail_log(&mut self, field: &str, value: String, dialect: Dialect) {
        let old = format!("plugin/{field}");
        self.0.retain(|setting| setting.key != old && setting.key != field);
        let key = if dialect == Dialect::V23 { &old } else { field };
        self.push(key, value);
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

/// The names in a list that is written with spaces, commas or as a line of a configuration.
fn words(list: &str) -> Vec<&str> {
    let separator = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '$');
    let mut words: Vec<&str> = Vec::new();
    for word in list.split(separator).filter(|word| !word.is_empty()) {
        add_missing(&mut words, &[word]);
    }
    words
}

fn add_missing<'w>(words: &mut Vec<&'w str>, wanted: &[&'w str]) {
    for word in wanted {
        if !words.contains(word) {
            words.push(word);
        }
    }
}

/// The plugins of `own`; `$mail_plugins`, from 2.4 on `$SET:mail_plugins`, stands for those of `base`.
fn plugins<'p>(own: &'p str, base: &'p str) -> Vec<&'p str> {
    let mut all = Vec::new();
    for word in words(own) {
        match word {
            "$mail_plugins" | "$SET" => add_missing(&mut all, &plugins_of_base(base)),
            "mail_plugins" | "yes" => {}
            _ => add_missing(&mut all, &[word]),
        }
    }
    all
}

/// What `doveconf -h mail_plugins` said: names, or a line for each.
fn plugins_of_base(base: &str) -> Vec<&str> {
    words(base).into_iter().filter(|word| !matches!(*word, "mail_plugins" | "yes")).collect()
}
