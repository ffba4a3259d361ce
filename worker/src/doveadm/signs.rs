//! What single error lines mean, whatever version or server wrote them.

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
    /// A connection to the source that failed or broke: while logging in or in the middle.
    Connection,
}

/// How many signs there are.
pub(super) const SIGNS: usize = 11;

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
    if let Some(sign) = read_login(&text) {
        return Some(sign);
    }
    if has(&COMMAND) || is_usage(&text) {
        return Some(Sign::Command);
    }
    if has(&CONFIGURATION) {
        return Some(Sign::Configuration);
    }
    if has(&QUOTA) {
        return Some(Sign::Quota);
    }
    let about_source = has(&["imapc(", "imapc:", "pop3c("]);
    if !about_source && is_machine_trouble(&text) {
        return Some(Sign::Backend);
    }
    if is_unknown_user(&text) {
        return Some(Sign::TargetUser);
    }
    (about_source && has(&CONNECTION)).then_some(Sign::Connection)
}

/// Texts of servers that let in only so many.
fn is_limit(text: &str) -> bool {
    const PLAIN: [&str; 9] = [
        "[limit]",
        "[throttled]",
        "[login-delay]",
        "simultaneous connections",
        "concurrent connections",
        "throttl",
        "bandwidth limit",
        "rate limit",
        "user is authenticated but not connected",
    ];
    const OPENING: [&str; 6] =
        ["too many", "maximum number of", "max number of", "limit of", "limit on the number of", "number of"];
    const LIMITED: [&str; 8] =
        ["connection", "login", "session", "request", "simultaneous", "concurrent", "attempts", "clients"];
    if PLAIN.iter().any(|word| text.contains(word)) {
        return true;
    }
    // What the server answered, without what we asked of it.
    let answer = text.rsplit("failed: ").next().unwrap_or(text);
    let names_limited = |words: &str| LIMITED.iter().any(|word| words.contains(word));
    let opened = |opening: &str| answer.split_once(opening).is_some_and(|(_, rest)| names_limited(rest));
    let exceeded = ["exceed", "reach", "limit hit"].iter().any(|word| answer.contains(word));
    OPENING[..3].iter().any(|opening| opened(opening))
        || (exceeded
            && (OPENING[3..].iter().any(|opening| opened(opening)) || is_counted_out(answer, &LIMITED)))
}

/// `connection limit exceeded`, `connections exceeded`, `maximum connections reached`.
fn is_counted_out(answer: &str, limited: &[&str]) -> bool {
    limited.iter().any(|word| answer.contains(word))
        && ["limit", "max", "connections exceed", "connection count"].iter().any(|word| answer.contains(word))
}

/// What a line about a login says: `Authentication failed: REASON`, `Login to HOST failed: REASON`.
fn read_login(text: &str) -> Option<Sign> {
    const PERMANENT: [&str; 4] = ["[authenticationfailed]", "[authorizationfailed]", "[expired]", "[noperm]"];
    const TEMPORARY: [&str; 21] = [
        "[unavailable]",
        "[serverbug]",
        "[inuse]",
        "[in-use]",
        "[sys/temp]",
        "[corruption]",
        "temporar",
        "try again",
        "try later",
        "internal error",
        "internal server error",
        "server error",
        "system error",
        "unavailable",
        "maintenance",
        "timed out",
        "timeout",
        "shutting down",
        "not connected",
        "too busy",
        "overloaded",
    ];
    const INSECURE: [&str; 10] = [
        "[privacyrequired]",
        "plaintext authentication",
        "plain text authentication",
        "cleartext authentication",
        "logindisabled",
        "login disabled",
        "encryption required",
        "starttls first",
        "sasl mechanism",
        "sasl method",
    ];
    let is = |words: &[&str], reason: &str| words.iter().any(|word| reason.contains(word));
    if let Some((_, reason)) = text.split_once("authentication failed:") {
        return Some(if is(&PERMANENT, reason) {
            Sign::Authentication
        } else if reason.contains("disconnected") || reason.contains("authentication timed out") {
            Sign::LoginLost
        } else if is(&INSECURE, reason) {
            Sign::Configuration
        } else if is(&TEMPORARY, reason) {
            Sign::LoginTemporary
        } else {
            Sign::Authentication
        });
    }
    if is(&INSECURE, text) {
        return Some(Sign::Configuration);
    }
    if is(&PERMANENT[..2], text) {
        return Some(Sign::Authentication);
    }
    let (_, failed) = text.split_once("login to ")?;
    failed.contains(" failed:").then_some(Sign::LoginLost)
}

/// The command itself is at fault.
const COMMAND: [&str; 10] = [
    "invalid option --",
    "option requires an argument",
    "unknown mail storage driver",
    "unknown mail driver",
    "unknown mail_driver",
    "missing imapc_host",
    "imapc_host is empty",
    "unknown command",
    "unknown status field",
    "unknown formatter",
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
    "missing imapc_",
    "imapc_password is empty",
    "unknown feature",
    "couldn't load required plugin",
    "plugin not found",
    "not found from directory",
    "dlopen(",
    "couldn't load plugin",
    "couldn't initialize ssl context",
    "unknown field in mail_log_fields",
    "unknown event in mail_log_events",
    "mail_location not set",
    "ambiguous mail location",
    "mail_driver is empty",
    "unknown namespace",
    "namespace not found",
    "mail access for users with",
    "couldn't drop privileges",
    "home directory not set",
    "user is missing uid",
    "userdb didn't return",
    "execv(",
    "execvp(",
    "dovecot_config_version",
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

const CONNECTION: [&str; 22] = [
    "connect(",
    "dns_lookup(",
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
    "authentication timed out",
    "server disconnected",
    "disconnected from server",
];

/// The help that doveadm prints instead of running: `usage: doveadm …`, `doveadm backup [-fPRU] …`.
fn is_usage(text: &str) -> bool {
    text.starts_with("usage: doveadm") || (text.starts_with("doveadm ") && text.contains(" [-"))
}

/// A system call of this machine that failed for want of room or rights.
fn is_machine_trouble(text: &str) -> bool {
    const ANYWHERE: [&str; 5] = [
        "no space left on device",
        "read-only file system",
        "input/output error",
        "structure needs cleaning",
        "stale file handle",
    ];
    const OF_A_CALL: [&str; 2] = ["failed: permission denied", "failed: operation not permitted"];
    // doveadm complains about the statistics socket at every run and goes on.
    if text.contains("stats-writer") {
        return false;
    }
    ANYWHERE.iter().chain(&OF_A_CALL).any(|word| text.contains(word)) || text.contains("(euid=")
}

fn is_unknown_user(text: &str) -> bool {
    let text = text.trim().trim_end_matches('.');
    matches!(text, "user doesn't exist" | "unknown user" | "user not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_let_in_only_so_many() {
        for text in [
            "imapc(h:143): Authentication failed: [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            "imapc(imap.gmail.com:993): Authentication failed: [ALERT] Too many simultaneous connections. (Failure)",
            "imapc(imap.gmail.com:993): Authentication failed: [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
            "imapc(h:143): Server sent invalid input: Banner doesn't begin with OK: BYE Too many connections from the same IP address.",
            "imapc(h:143): Server disconnected unexpectedly: BYE [ALERT] Maximum number of connections exceeded",
            "imapc(h:143): Authentication failed: [UNAVAILABLE] Too many logins, try again later",
            "imapc(h:993): Command '5 SELECT x' failed with BAD: 5 Request is throttled. Suggested Backoff Time: 92415 milliseconds",
            "imapc(h:993): Authentication failed: User is authenticated but not connected.",
            "Failed to initialize user: imapc: Login to h failed: Authentication failed: [INUSE] connection limit reached",
            "imapc(h:143): Authentication failed: [ALERT] Too many open connections",
            "imapc(h:143): Authentication failed: [UNAVAILABLE] Maximum number of logins for this user reached",
            "imapc(h:143): Authentication failed: Session limit exceeded",
            "imapc(h:143): Authentication failed: [ALERT] Number of connections for this account exceeded",
        ] {
            assert_eq!(read(text), Some(Sign::Limited), "{text}");
        }
    }

    #[test]
    fn other_limits_are_none_of_these() {
        for text in [
            "Mailbox INBOX: Saving failed: Message size exceeds the limit",
            "imapc(h:143): Authentication failed: [AUTHENTICATIONFAILED] Login failed",
            "open(/mail/a/m.1) failed: Too many open files",
            "Failed to initialize user: imapc: Login to max-login-limit.example failed: Disconnected from server",
        ] {
            assert_ne!(read(text), Some(Sign::Limited), "{text}");
        }
    }

    #[test]
    fn refused_credentials() {
        for text in [
            "imapc(h:143): Authentication failed: [AUTHENTICATIONFAILED] Authentication failed.",
            "brain S: Mailbox listing for namespace inbox failed: Authentication failed: [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            "imapc(h:143): Authentication failed: LOGIN failed.",
            "imapc(h:143): Authentication failed: Login failed: authentication failure",
            "imapc(h:143): Authentication failed: [AUTHORIZATIONFAILED] not allowed to be this user",
            "imapc(h:143): Authentication failed: [ALERT] Application-specific password required",
            "imapc(h:143): Authentication failed: User doesn't exist",
        ] {
            assert_eq!(read(text), Some(Sign::Authentication), "{text}");
        }
    }

    #[test]
    fn logins_that_may_work_later() {
        for text in [
            "imapc(h:143): Authentication failed: [UNAVAILABLE] Temporary authentication failure.",
            "imapc(h:143): Authentication failed: [INUSE] Mailbox is locked",
            "imapc(h:143): Authentication failed: Server Unavailable. 15",
            "imapc(h:143): Authentication failed: [SERVERBUG] Internal error occurred.",
        ] {
            assert_eq!(read(text), Some(Sign::LoginTemporary), "{text}");
        }
        assert_eq!(
            read(
                "imapc(h:143): Authentication failed: [PRIVACYREQUIRED] Plaintext authentication disallowed"
            ),
            Some(Sign::Configuration)
        );
        assert_eq!(read("imapc: Login to h failed: Disconnected from server"), Some(Sign::LoginLost));
    }

    #[test]
    fn troubles_of_this_machine_are_not_those_of_the_source() {
        for text in [
            "mkdir(/mail/a/Maildir) failed: Permission denied (euid=8(mail) egid=8(mail) missing +w perm: /mail/a)",
            "write(/mail/a/mdbox/storage/m.1) failed: No space left on device",
            "open(/mail/a/dovecot.index.log) failed: Read-only file system",
            "pread(/mail/a/m.1) failed: Input/output error",
        ] {
            assert_eq!(read(text), Some(Sign::Backend), "{text}");
        }
        for text in [
            "imapc(h:143): connect(10.0.0.1, 143) failed: Permission denied - disconnecting",
            "imapc(h:143): read(size=8192) failed: Input/output error - disconnecting: Server disconnected",
        ] {
            assert_eq!(read(text), Some(Sign::Connection), "{text}");
        }
        for text in [
            "Can't open mailbox Shared/x: Permission denied",
            "net_connect_unix(/run/stats-writer) failed: Permission denied",
            "Can't open mailbox Archive: Internal error occurred. Refer to server log for more information.",
            "Failed to lock mailbox INBOX for dsyncing: file_create_locked(/x) failed: Timed out after 30 seconds",
            "auth-master: userdb lookup(a): connect(/run/auth-userdb) failed: No such file or directory",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn commands_and_configurations_that_can_not_work() {
        for text in [
            "backup: invalid option -- 'Z'",
            "usage: doveadm [-Dv] [-f <formatter>] <command> [<args>]",
            "doveadm backup [-fPRU] [-l <secs>] -d|<dest>",
            "Failed to initialize user: Namespace '': Unknown mail storage driver foobar",
            "Failed to initialize user: Namespace '': Mailbox list driver imapc: missing imapc_host",
            "Unknown status field: nosuch",
        ] {
            assert_eq!(read(text), Some(Sign::Command), "{text}");
        }
        for text in [
            "User lookup failed: Error reading configuration: Invalid -o parameter imapc_port=abc: Invalid port number abc",
            "Error reading configuration: stat(/nonexistent.conf) failed: No such file or directory",
            "Failed to initialize user: imapc: missing imapc_password",
            "Couldn't load required plugin /usr/lib/dovecot/modules/lib10_x.so: Plugin x must be loaded also",
            "execvp(Spam) failed: No such file or directory",
        ] {
            assert_eq!(read(text), Some(Sign::Configuration), "{text}");
        }
    }

    #[test]
    fn quotas() {
        for text in [
            "Mailbox INBOX: Saving failed: Quota exceeded (mailbox for user is full)",
            "Can't save: Not enough disk quota",
            "write(/mail/a/m.1) failed: Disk quota exceeded",
        ] {
            assert_eq!(read(text), Some(Sign::Quota), "{text}");
        }
    }
}
