//! What single error lines mean, whatever version or server wrote them.
//!
//! What the source answered is told by imapc (`imapc(HOST:PORT): …`, `imapc: Opening mailbox failed: …`) and may
//! hold any words: those that would speak of this machine's commands and settings say nothing there.

mod limit;
mod login;

use limit::is_limit;

/// What an error line is a sign of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    /// The INBOX can't be made equal.
    Diverged,
    /// The source's limit of connections or traffic.
    Limited,
    /// The source refuses the credentials.
    Authentication,
    /// The source refuses the login for now.
    LoginTemporary,
    /// Nothing was heard of the source while logging in.
    LoginLost,
    /// The command can't work, for whatever user.
    Command,
    /// The configuration, or a value in the command, can't work.
    Configuration,
    /// Disk, permissions or I/O of this machine.
    Backend,
    /// The user's quota.
    Quota,
    /// The target doesn't know the user.
    TargetUser,
    /// A mailbox is in use by somebody else.
    Busy,
    /// A connection to the source that failed or broke: while logging in or in the middle.
    Connection,
}

/// How many signs there are.
pub(super) const SIGNS: usize = Sign::Connection as usize + 1;

/// Reads a line's text, prefix and level cut off.
pub(super) fn read(text: &str) -> Option<Sign> {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.contains("inbox can't be deleted") {
        return Some(Sign::Diverged);
    }
    if is_limit(&text) {
        return Some(Sign::Limited);
    }
    if let Some(sign) = login::read(&text) {
        return Some(sign);
    }
    let about_source = has(&["imapc(", "imapc: ", "pop3c(", "pop3c: "]);
    if has(&OWN_COMMAND) || (!about_source && (has(&COMMAND) || is_usage(&text))) {
        return Some(Sign::Command);
    }
    if has(&OWN_CONFIGURATION) || (!about_source && has(&CONFIGURATION)) {
        return Some(Sign::Configuration);
    }
    if has(&QUOTA) {
        return Some(Sign::Quota);
    }
    if if about_source { is_full(&text) && !is_relayed(&text) } else { is_machine_trouble(&text) } {
        return Some(Sign::Backend);
    }
    if is_unknown_user(&text) {
        return Some(Sign::TargetUser);
    }
    if has(&BUSY) {
        return Some(Sign::Busy);
    }
    (about_source && has(&CONNECTION)).then_some(Sign::Connection)
}

/// Reads a warning about the connection to the source. It tells why a run failed only when its errors don't:
/// doveadm goes on after a warning.
pub(super) fn read_warning(text: &str) -> Option<Sign> {
    if !text.starts_with("imapc(") {
        return None;
    }
    let text = text.to_lowercase();
    if is_limit(&text) {
        return Some(Sign::Limited);
    }
    let (_, answer) = text.split_once("disconnected with message: ")?;
    login::is_temporary(answer).then_some(Sign::LoginTemporary)
}

/// The command itself is at fault; so sure that it counts in every line.
const OWN_COMMAND: [&str; 5] = [
    "unknown mail storage driver",
    "unknown mail driver",
    "unknown mail_driver",
    "missing imapc_host",
    "imapc_host is empty",
];

/// The command itself is at fault.
const COMMAND: [&str; 6] = [
    "invalid option --",
    "option requires an argument",
    "unknown command",
    "unknown status field",
    "unknown formatter",
    "unknown print formatter",
];

/// A value or a file is at fault; so sure that it counts in every line.
const OWN_CONFIGURATION: [&str; 11] = [
    "missing imapc_",
    "missing pop3c_",
    "imapc_password is empty",
    "imapc_user is empty",
    "imapc_list_prefix must",
    "imapc_sasl_mechanisms",
    "couldn't initialize ssl context",
    "couldn't initialize ssl client",
    "can't load ca certs",
    "execv(",
    "execvp(",
];

/// A value or a file is at fault.
const CONFIGURATION: [&str; 34] = [
    "invalid -o parameter",
    "error reading configuration",
    "error in configuration file",
    "failed to read configuration",
    "failed to parse configuration",
    "failed to override configuration",
    "unknown setting",
    "unknown section",
    "invalid setting",
    "invalid value for setting",
    "unknown feature",
    "couldn't load required plugin",
    "plugin not found",
    "not found from directory",
    "dlopen(",
    "couldn't load plugin",
    "unknown field in mail_log_fields",
    "unknown event in mail_log_events",
    "mail_location not set",
    "mail_location is not set",
    "mail storage autodetection failed",
    "ambiguous mail location",
    "mail_driver is empty",
    "unknown quota backend",
    "invalid quota root",
    "unknown namespace",
    "namespace not found",
    "mail access for users with",
    "couldn't drop privileges",
    "home directory not set",
    "user is missing uid",
    "userdb didn't return",
    "dovecot_config_version",
    "must not end with hierarchy separator",
];

const QUOTA: [&str; 9] = [
    "quota exceeded",
    "exceeded quota",
    "exceeds quota",
    "over quota",
    "out of quota",
    "[overquota]",
    "not enough disk quota",
    "mailbox is full",
    "for user is full",
];

const BUSY: [&str; 7] = [
    "[inuse]",
    "mailbox in use",
    "mailbox is in use",
    "mailbox is locked",
    "mailbox locked",
    "timeout while waiting for lock",
    "currently being accessed",
];

const CONNECTION: [&str; 24] = [
    "connect(",
    "dns_lookup(",
    "dns lookup",
    "gethostbyname(",
    "name or service not known",
    "connection refused",
    "connection reset",
    "connection timed out",
    "no route to host",
    "network is unreachable",
    "host is unreachable",
    "broken pipe",
    "ssl_connect",
    "ssl handshake",
    "ssl certificate",
    "ssl client",
    "no ssl context",
    "starttls",
    "certificate",
    "banner doesn't begin",
    "server sent invalid input",
    "authentication timed out",
    "server disconnected",
    "disconnected from server",
];

/// The help that doveadm prints instead of running: `usage: doveadm …`, `doveadm backup [-fPRU] …`.
fn is_usage(text: &str) -> bool {
    text.starts_with("usage: doveadm") || (text.starts_with("doveadm ") && text.contains(" [-"))
}

/// What imapc tells in the source's own words.
fn is_relayed(text: &str) -> bool {
    const RELAYED: [&str; 9] = [
        "failed with no",
        "failed with bad",
        "command failed:",
        "opening mailbox failed:",
        "fetch failed:",
        "replied:",
        "disconnected with message",
        "banner doesn't begin",
        "authentication failed",
    ];
    RELAYED.iter().any(|words| text.contains(words))
}

fn is_full(text: &str) -> bool {
    text.contains("no space left on device") || text.contains("read-only file system")
}

/// A system call of this machine that failed for want of room or rights.
fn is_machine_trouble(text: &str) -> bool {
    const ANYWHERE: [&str; 7] = [
        "input/output error",
        "structure needs cleaning",
        "stale file handle",
        "too many open files",
        "transport endpoint is not connected",
        "no such device or address",
        "failed with euid=",
    ];
    const OF_A_CALL: [&str; 2] = ["failed: permission denied", "failed: operation not permitted"];
    // doveadm complains about the statistics socket at every run and goes on.
    if text.contains("stats-writer") {
        return false;
    }
    is_full(text)
        || ANYWHERE.iter().chain(&OF_A_CALL).any(|word| text.contains(word))
        || text.contains("(euid=")
}

fn is_unknown_user(text: &str) -> bool {
    let text = text.trim().trim_end_matches('.');
    matches!(text, "user doesn't exist" | "unknown user" | "user not found")
}

#[cfg(test)]
mod tests;
