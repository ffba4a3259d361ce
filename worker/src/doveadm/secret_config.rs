//! The configuration that hides secrets from argv: it includes the real one and adds the secret settings. doveadm
//! gets it as a file in memory on its standard input (`-c /proc/self/fd/0`).

use secrecy::{ExposeSecret, SecretString};

use super::version::{Dialect, Version};

/// A setting whose value nobody may see.
pub(super) struct SecretSetting {
    pub(super) key: String,
    pub(super) value: SecretString,
}

/// The text of the configuration, or what can't be written into one.
pub(super) fn write(
    main_config: &str,
    version: &Version,
    config_version: Option<&str>,
    secrets: &[SecretSetting],
) -> Result<SecretString, String> {
    if !main_config.starts_with('/') || main_config.contains(|c: char| c.is_control() || "*?[\"".contains(c))
    {
        return Err(format!("the path of Dovecot's configuration can't be included: {main_config:?}"));
    }
    let mut text = String::new();
    if version.dialect() == Dialect::V24 {
        let line = config_version.map_or_else(|| three_numbers(&version.text), str::to_owned);
        text.extend(["dovecot_config_version = ", &line, "\n"]);
    }
    text.extend(["!include ", main_config, "\n"]);
    for secret in secrets {
        let value = quote(&secret.key, secret.value.expose_secret(), version.dialect())?;
        match secret.key.split_once('/') {
            None => text.extend([secret.key.as_str(), " = ", &value, "\n"]),
            Some(("plugin", name)) => text.extend(["plugin {\n  ", name, " = ", &value, "\n}\n"]),
            Some(_) => return Err(format!("the password in {} can't be kept out of argv", secret.key)),
        }
    }
    Ok(text.into())
}

/// `dovecot_config_version` takes `2.4.1`, not `2.4.1.2`.
fn three_numbers(version: &str) -> String {
    version.split('.').take(3).collect::<Vec<_>>().join(".")
}

fn quote(key: &str, value: &str, dialect: Dialect) -> Result<String, String> {
    if value.contains(['\n', '\r', '\0']) {
        return Err(format!(
            "the value of {key} holds a line end, which Dovecot's configuration can't express"
        ));
    }
    // 2.4 expands %{…} in every setting of a file, though not in those of -o.
    let value = if dialect == Dialect::V24 { value.replace("%{", "%%{") } else { value.to_owned() };
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for letter in value.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    Ok(quoted)
}
