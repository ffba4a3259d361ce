//! The counts that the worker makes when no command is configured for them.

use dmf_shared::domain::{
    command::{Command, CommandOption, Fault},
    inject::{CommandTemplate, ConfName, MdbName, Properties, PropertyName, RenderedCommand},
};
use secrecy::ExposeSecret;

/// What is asked for.
const FIELDS: &str = "messages vsize";
/// All mailboxes; the order and the doubling do no harm.
const MASKS: [&str; 3] = ["INBOX/*", "INBOX", "*"];

/// `doveadm -f json mailbox status -u UID "messages vsize" INBOX/* INBOX *`.
pub fn local(properties: &Properties) -> Result<RenderedCommand, Vec<Fault>> {
    render(&command(Vec::new()), properties)
}

/// The same over imapc, from what is known of the source: the host of the worker's configuration, else the user's
/// source host; the port of the user, else that of the configuration; the master user with its password, else the
/// user's password. Written as for 2.3; [`super::argv`] translates. `imapc_features` stay those of Dovecot's own
/// configuration: without `rfc822.size` 2.3 fetches each body to count it.
pub fn remote(properties: &Properties) -> Result<RenderedCommand, Vec<Fault>> {
    let hole = |name: &PropertyName| name.to_string();
    let mdb = |name| hole(&PropertyName::Mdb(name));
    let conf = |name: ConfName| hole(&PropertyName::Conf(name.as_str().to_owned()));
    let has = |name: ConfName| properties.conf(name).is_some_and(|value| !value.expose_secret().is_empty());

    let mut settings = vec![("mail", "imapc:".to_owned()), ("imapc_user", mdb(MdbName::Ruid))];
    if properties.imapc_ssl.is_some() {
        settings.push(("imapc_ssl", mdb(MdbName::ImapcSsl)));
    }
    let host = if has(ConfName::Host) { conf(ConfName::Host) } else { mdb(MdbName::Sourcehost) };
    settings.push(("imapc_host", host));
    if properties.sourceport.is_some() {
        settings.push(("imapc_port", mdb(MdbName::SourcePort)));
    } else if has(ConfName::Port) {
        settings.push(("imapc_port", conf(ConfName::Port)));
    }
    if has(ConfName::Prefix) {
        settings.push(("imapc_list_prefix", conf(ConfName::Prefix)));
    }
    if has(ConfName::MasterUser) {
        settings.push(("imapc_master_user", conf(ConfName::MasterUser)));
        settings.push(("imapc_password", conf(ConfName::MasterPassword)));
    } else if properties.sourcepasswd.is_some() {
        settings.push(("imapc_password", mdb(MdbName::SourcePasswd)));
    } else {
        settings.push(("imapc_password", conf(ConfName::MasterPassword)));
    }
    let mut command = command(settings);
    if properties.imapcoptions.as_ref().is_some_and(|options| !options.is_empty()) {
        // Behind the settings above, so that what the user says counts.
        command.options.push(setting("-o", mdb(MdbName::ImapcOptions)));
    }
    render(&command, properties)
}

fn command(settings: Vec<(&str, String)>) -> Command {
    let mut status = Command::named("status");
    status.options.push(setting("-u", PropertyName::Mdb(MdbName::Uid).to_string()));
    status.arguments = std::iter::once(FIELDS).chain(MASKS).map(str::to_owned).collect();
    let mut mailbox = Command::named("mailbox");
    mailbox.sub_command = Some(Box::new(status));
    let mut doveadm = Command::named("doveadm");
    doveadm.options.push(setting("-f", "json".to_owned()));
    doveadm
        .options
        .extend(settings.into_iter().map(|(name, value)| setting("-o", format!("{name}={value}"))));
    doveadm.sub_command = Some(Box::new(mailbox));
    doveadm
}

fn setting(name: &str, value: String) -> CommandOption {
    CommandOption { name: name.to_owned(), value }
}

fn render(command: &Command, properties: &Properties) -> Result<RenderedCommand, Vec<Fault>> {
    CommandTemplate::compile(command)?.template.render(properties)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dmf_shared::domain::user::ImapcSsl;

    use super::*;

    fn properties() -> Properties {
        Properties {
            uid: Some("3@600".into()),
            ruid: Some("3@234".into()),
            sourcehost: Some("imap.host.1".into()),
            sourceport: Some(143),
            imapc_ssl: Some(ImapcSsl::No),
            sourcepasswd: Some("s3cret".into()),
            ..Properties::default()
        }
    }

    fn line(command: &RenderedCommand) -> String {
        command.items().map(dmf_shared::domain::inject::Item::shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_local_count() {
        let command = local(&properties()).unwrap();
        assert_eq!(line(&command), "doveadm -f json mailbox status -u 3@600 messages vsize INBOX/* INBOX *");
        assert_eq!(command.levels[2].arguments[0].expose(), "messages vsize");
    }

    #[test]
    fn the_remote_count_logs_in_as_the_user() {
        assert_eq!(
            line(&remote(&properties()).unwrap()),
            "doveadm -f json -o mail=imapc: -o imapc_user=3@234 -o imapc_ssl=no -o imapc_host=imap.host.1 -o imapc_port=143 -o imapc_password=<hidden> mailbox status -u 3@600 messages vsize INBOX/* INBOX *"
        );
    }

    #[test]
    fn the_remote_count_logs_in_as_the_master_user_where_there_is_one() {
        let conf = [
            ("imapc_host", "10.0.0.1"),
            ("imapc_port", "993"),
            ("imapc_master_user", "admin"),
            ("imapc_master_password", "m4ster"),
        ];
        let conf: BTreeMap<_, _> =
            conf.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let user = Properties {
            imapcoptions: Some(vec!["imapc_cmd_timeout=60s".into()]),
            sourceport: None,
            imapc_ssl: None,
            conf,
            ..properties()
        };
        let command = remote(&user).unwrap();
        assert_eq!(
            line(&command),
            "doveadm -f json -o mail=imapc: -o imapc_user=3@234 -o imapc_host=10.0.0.1 -o imapc_port=993 -o imapc_master_user=admin -o imapc_password=<hidden> -o imapc_cmd_timeout=60s mailbox status -u 3@600 messages vsize INBOX/* INBOX *"
        );
        assert!(command.items().any(|item| item.expose() == "imapc_password=m4ster"));
    }

    #[test]
    fn without_any_password_there_is_nothing_to_run() {
        let faults = remote(&Properties { sourcepasswd: None, ..properties() }).unwrap_err();
        assert!(faults[0].message.contains("imapc_master_password"), "{faults:?}");
    }
}
