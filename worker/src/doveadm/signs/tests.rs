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
        read("imapc(h:143): Authentication failed: [PRIVACYREQUIRED] Plaintext authentication disallowed"),
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

#[test]
fn who_is_refused_too_often_is_not_helped_by_waiting() {
    for text in [
        "imapc(h:143): Authentication failed: [AUTHENTICATIONFAILED] Authentication failed. Too many login attempts",
        "imapc(h:143): Authentication failed: [ALERT] Too many failed login attempts. Try again later",
        "imapc(h:143): Authentication failed: Too many invalid logon attempts.",
        "imapc(h:143): Authentication failed: Maximum number of authentication failures exceeded",
    ] {
        assert_eq!(read(text), Some(Sign::Authentication), "{text}");
    }
    for text in [
        "imapc(h:143): Authentication failed: [AUTHENTICATIONFAILED] Too many concurrent sessions",
        "imapc(h:143): Authentication failed: [AUTHENTICATIONFAILED] Too many attempts: login rate exceeded",
        "imapc(h:143): Authentication failed: [LIMIT] Too many login failures",
    ] {
        assert_eq!(read(text), Some(Sign::Limited), "{text}");
    }
}

#[test]
fn servers_in_their_own_words() {
    for (text, sign) in [
        ("Login failed: authentication failure", Sign::Authentication),
        ("Login failed: user not found", Sign::Authentication),
        ("Login failed: generic failure", Sign::LoginTemporary),
        ("Login only available under a layer", Sign::Configuration),
        ("cleartext logins disabled", Sign::Configuration),
        ("no mechanism available", Sign::Configuration),
        ("Server busy", Sign::LoginTemporary),
        ("Server Unavailable. 15", Sign::LoginTemporary),
        ("Internal login failure. Refer to server log for more information.", Sign::LoginTemporary),
        ("Invalid credentials (Failure)", Sign::Authentication),
        ("[WEBALERT https://x] Web login required.", Sign::Authentication),
        ("[ALERT] Your account is not enabled for IMAP use. (Failure)", Sign::Authentication),
        ("Temporary problem, please try again later", Sign::LoginTemporary),
        ("Too many users currently connected", Sign::Limited),
        ("[LIMIT] LOGIN Rate limit hit.", Sign::Limited),
        ("[SERVERBUG] LOGIN Server error - Please try again later", Sign::LoginTemporary),
        ("Invalid user name or password.", Sign::Authentication),
        ("LOGIN failed.", Sign::Authentication),
    ] {
        let line = format!("imapc(h:143): Authentication failed: {text}");
        assert_eq!(read(&line), Some(sign), "{text}");
    }
}

#[test]
fn words_of_the_source_are_no_words_of_this_machine() {
    for text in [
        "imapc(h:1): Command '8 EXAMINE \"INBOX\"' failed with BAD: 8 Error in IMAP command EXAMINE: Unknown command (0.001 secs).",
        "Mailbox INBOX: imapc: Opening mailbox failed: Error in IMAP command EXAMINE: Unknown command",
        "imapc(h:1): Command '3 CREATE \"x\"' failed with BAD: 3 Unknown namespace",
        "imapc(h:1): Command '3 SELECT \"x\"' failed with BAD: 3 write failed: No space left on device",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    for (text, sign) in [
        ("Failed to initialize user: imapc: missing imapc_password", Sign::Configuration),
        ("imapc: Unknown mail storage driver foo", Sign::Command),
        (
            "imapc(h:993): Couldn't initialize SSL context: Can't load CA certs from file /x",
            Sign::Configuration,
        ),
        ("execvp(imapc:) failed: No such file or directory", Sign::Configuration),
        ("imapc(h:1): safe_mkstemp(/tmp/x) failed: No space left on device", Sign::Backend),
        ("imapc(h:1): write(/tmp/x) failed: Read-only file system", Sign::Backend),
    ] {
        assert_eq!(read(text), Some(sign), "{text}");
    }
}

#[test]
fn further_troubles_of_this_machine_and_its_settings() {
    for (text, sign) in [
        ("Unknown print formatter: nosuch", Sign::Command),
        (
            "setgid(8(mail) from mail_gid setting) failed with euid=65534(nobody), gid=65534(nogroup), egid=65534(nogroup): Operation not permitted",
            Sign::Backend,
        ),
        ("open(/mail/a/dovecot.index.log) failed: Too many open files", Sign::Backend),
        ("pread(/mail/a/storage/m.1) failed: Transport endpoint is not connected", Sign::Backend),
        ("fsync(/mail/a/storage/m.1) failed: No such device or address", Sign::Backend),
        ("Namespace '': Mail storage autodetection failed with home=/x", Sign::Configuration),
        (
            "Failed to initialize quota: Invalid quota root quota: Unknown quota backend: foo",
            Sign::Configuration,
        ),
        ("imapc_list_prefix must not end with hierarchy separator", Sign::Configuration),
        ("Can't open mailbox INBOX: Mailbox in use", Sign::Busy),
        ("Mailbox INBOX: Sync failed: Timeout while waiting for lock", Sign::Busy),
    ] {
        assert_eq!(read(text), Some(sign), "{text}");
    }
}

#[test]
fn warnings_tell_of_limits_and_of_servers_that_go_away() {
    for (text, sign) in [
        (
            "imapc(h:1): Server disconnected with message: Too many connections - reconnecting (delay 0 ms)",
            Some(Sign::Limited),
        ),
        (
            "imapc(h:1): Server disconnected with message: [UNAVAILABLE] Temporary authentication failure - reconnecting (delay 0 ms)",
            Some(Sign::LoginTemporary),
        ),
        ("imapc(h:1): Server disconnected unexpectedly: EOF - reconnecting (delay 0 ms)", None),
        ("Failed to copy source UID=1 mail: Too many connections", None),
    ] {
        assert_eq!(read_warning(text), sign, "{text}");
    }
}
