//! doveadm settings (`-o key=value`): which may come from outside.

/// Never from outside, whatever a worker allows: they run programs, load code, move logs or leave the user's
/// own mail.
const NEVER: [&str; 25] = [
    "libexec_dir",
    "mail_plugin_dir",
    "plugin_dir",
    "base_dir",
    "state_dir",
    "dsync_remote_cmd",
    "import_environment",
    "log_path",
    "info_log_path",
    "debug_log_path",
    "*_socket_path",
    "*_rawlog_dir",
    "*rawlog*",
    "mail_home",
    "mail_uid",
    "mail_gid",
    "mail_privileged_group",
    "mail_access_groups",
    "mail_temp_dir",
    "mail_chroot",
    "auth_*",
    "passdb*",
    "userdb*",
    "service*",
    "protocol*",
];

/// What a command of the API may set without any worker's consent.
const HARMLESS: [&str; 16] = [
    "imapc_*",
    "pop3c_*",
    "pop3_deleted_flag",
    "mail_prefetch_count",
    "mail_log_events",
    "mail_log_fields",
    "plugin/mail_log_events",
    "plugin/mail_log_fields",
    "plugin/pop3_migration_mailbox",
    "mail_fsync",
    "mail_debug",
    "verbose_proctitle",
    "dsync_alt_char",
    "dsync_hashed_headers",
    "dsync_features",
    "doveadm_password",
];

/// Plugins that a command of the API may load.
const HARMLESS_PLUGINS: [&str; 4] = ["notify", "mail_log", "pop3_migration", "quota"];

/// What a customer may set for a user with `imapcOptions`.
const IMAPC_OPTIONS: [&str; 6] = [
    "imapc_features",
    "imapc_max_idle_time",
    "imapc_cmd_timeout",
    "imapc_connection_retry_*",
    "imapc_list_prefix",
    "imapc_ssl_verify",
];

/// `key=value` as its two halves; `None` without `=`.
pub fn split_setting(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}

/// The `imapcOptions` that one text holds, such as `imapc_cmd_timeout=60s imapc_features=rfc822.size search`. A value
/// may hold spaces, so that another option begins only at a word of the form `key=…`; commas may stand between them.
pub fn split_imapc_options(text: &str) -> Vec<String> {
    let is_separator = |letter: char| letter.is_whitespace() || letter == ',';
    let begins = |at: usize| {
        let key = text[at..].split_once('=').map_or("", |(key, _)| key);
        key.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && text[..at].chars().next_back().is_none_or(is_separator)
    };
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|at| begins(*at)).collect();
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let options =
        starts.iter().zip(ends).map(|(start, end)| text[*start..end].trim_end_matches(is_separator));
    // Whatever stands before the first option is no option, and will be told as such.
    options.map(str::to_owned).collect()
}

/// What is wrong with the name of a setting as such.
pub fn setting_key_fault(key: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@".contains(&byte);
    if key.is_empty() || key.len() > 255 || key.starts_with('-') || !key.bytes().all(allowed) {
        let shown: String = key.chars().take(60).collect();
        return Some(format!("{shown:?} is no name of a setting"));
    }
    None
}

/// What is against a setting that no worker may allow from outside, by its name.
pub fn forbidden_setting_fault(key: &str) -> Option<String> {
    is_never(key).then(|| format!("the setting {key} may not come from outside"))
}

/// What is wrong with one `key=value` of a user's `imapcOptions`; `allowed` is the worker's
/// `dmf.worker.imapc-options.allow`.
pub fn imapc_option_fault(option: &str, allowed: &[String]) -> Option<String> {
    let Some((key, _)) = split_setting(option) else {
        return Some("an imapc option has the form key=value".to_owned());
    };
    if let Some(fault) = setting_key_fault(key) {
        return Some(fault);
    }
    let own = allowed.iter().map(String::as_str);
    let known = IMAPC_OPTIONS.into_iter().chain(own).any(|pattern| matches(pattern, key));
    if known && !is_never(key) {
        return None;
    }
    Some(format!(
        "the imapc option {key} is not allowed; there are: {}; a worker may allow more with dmf.worker.imapc-options.allow",
        IMAPC_OPTIONS.join(", ")
    ))
}

/// What is against `key=value` in a command of the API; `allowed` is `dmf.worker.doveadm-settings.allow`,
/// `None` where it is not known. `value` is `None` where it is not known yet.
pub(super) fn api_fault(key: &str, value: Option<&str>, allowed: Option<&[String]>) -> Option<String> {
    if let Some(fault) = forbidden_setting_fault(key) {
        return Some(fault);
    }
    let allowed = allowed?;
    if is_harmless(key, value) || allowed.iter().any(|pattern| matches(pattern, key)) {
        return None;
    }
    Some(format!(
        "the setting {key} is not allowed here; the worker's list dmf.worker.doveadm-settings.allow can allow it"
    ))
}

fn is_never(key: &str) -> bool {
    let last = key.rsplit('/').next().unwrap_or(key);
    NEVER.iter().any(|pattern| matches(pattern, key) || matches(pattern, last))
}

fn is_harmless(key: &str, value: Option<&str>) -> bool {
    match (key, value) {
        ("mail_plugins", Some(value)) => {
            let mut plugins = value.split([' ', ',']).filter(|word| !word.is_empty());
            // What the configuration says anyway.
            plugins.all(|plugin| plugin == "$mail_plugins" || HARMLESS_PLUGINS.contains(&plugin))
        }
        ("mail" | "mail_location", Some(value)) => value == "imapc:",
        ("mail_driver", Some(value)) => value == "imapc",
        ("mail_path", Some(value)) => value.is_empty(),
        _ => HARMLESS.iter().any(|pattern| matches(pattern, key)),
    }
}

/// Patterns have one `*` at most at their beginning and one at their end.
fn matches(pattern: &str, key: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => key.contains(pattern.trim_matches('*')),
        (Some(end), None) => key.ends_with(end),
        (None, Some(start)) => key.starts_with(start),
        (None, None) => key == pattern,
    }
}
