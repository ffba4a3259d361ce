use std::path::Path;

use crate::account::Account;
use crate::dovecot::source::SourceOptions;
use crate::dovecot::target::Storage;

/// How a server names its mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// What every mailbox but INBOX lies below, its separator included; often nothing.
    pub(crate) prefix: String,
    /// Between a mailbox and those below it.
    pub(crate) separator: char,
}

impl Default for Namespace {
    fn default() -> Self {
        Self { prefix: String::new(), separator: '/' }
    }
}

/// Settings of both sides. `chroot =` in the services is what lets an ordinary user run a Dovecot.
fn basics(dir: &Path, account: &Account, namespace: &Namespace) -> String {
    let Namespace { prefix, separator } = namespace;
    let (dir, user, group) = (dir.display(), &account.user, &account.group);
    format!(
        r#"
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
log_timestamp = "%s.%{{usecs}} "
ssl = no
auth_username_format = %u
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {user}
mail_gid = {group}
mail_home = {dir}/mail/%u
mail_fsync = never

namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
}}
service stats {{
  chroot =
}}
"#
    )
}

/// Configuration of a source: an IMAP server in clear text, a file for each user's password, a master user.
///
/// A file for each user, because Dovecot looks for changes of one file at most once a second: a user that was
/// just added would be unknown for that long. `result_success = continue` has the next passdb look whether the user
/// exists whose mail the master user opens.
pub(super) fn source(dir: &Path, account: &Account, port: u16, options: &SourceOptions) -> String {
    let SourceOptions { max_userip_connections, namespace } = options;
    let basics = basics(dir, account, namespace);
    let (dir, user, group) = (dir.display(), &account.user, &account.group);
    format!(
        r"{basics}
protocols = imap
listen = 127.0.0.1
mail_location = maildir:~/Maildir
mail_max_userip_connections = {max_userip_connections}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
auth_verbose = yes
auth_failure_delay = 0

passdb {{
  driver = passwd-file
  master = yes
  result_success = continue
  args = scheme=PLAIN username_format=%u {dir}/masters
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/passwd/%u
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {dir}/passwd/%u
  default_fields = uid={user} gid={group} home={dir}/mail/%u
}}

service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  client_limit = 500
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  process_limit = 512
}}
service anvil {{
  chroot =
  # Without this listener no login is delayed after failed ones; with it the delay is up to 15 s.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"
    )
}

/// Configuration of a target: no listener, only what `doveadm -u` needs.
pub(super) fn target(dir: &Path, account: &Account, storage: Storage) -> String {
    let basics = basics(dir, account, &Namespace::default());
    let (dir, user, group) = (dir.display(), &account.user, &account.group);
    let location = storage.mail_location();
    format!(
        r"{basics}
protocols =
mail_location = {location}

# The auth service refuses to start without a passdb, though only userdb lookups are made.
passdb {{
  driver = static
  args = password=unused
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={dir}/mail/%u allow_all_users=yes
}}

service anvil {{
  chroot =
}}

imapc_ssl = no
imapc_features = rfc822.size fetch-headers fetch-bodystructure search modseq
mail_prefetch_count = 20
"
    )
}
