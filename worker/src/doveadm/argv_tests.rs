use std::collections::BTreeMap;

use dmf_shared::domain::{
    command::Command,
    command_rules::Origin,
    inject::{CommandTemplate, Properties},
};
use proptest::{collection::vec, prelude::*};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;

fn setup(version: &str) -> DoveadmSetup {
    DoveadmSetup {
        program: "/usr/bin/doveadm".into(),
        config: Some("/etc/dovecot/dovecot.conf".into()),
        version: version.parse().unwrap(),
        config_version: None,
        mail_plugins: "quota zlib\n".into(),
        mail_log: MailLog::ALL,
        imapc_options: Vec::new(),
    }
}

fn properties() -> Properties {
    Properties {
        uid: Some("target_user1".into()),
        ruid: Some("source_user1".into()),
        sourcehost: Some("imap.host.1".into()),
        sourcepasswd: Some(r#"p"a\s %s$#{}<x  y"#.into()),
        imapcoptions: Some(vec!["imapc_cmd_timeout=60s".into()]),
        exclude: Some(vec!["INBOX/Trash".into(), "My Folder".into()]),
        conf: BTreeMap::from([("imapc_master_password".to_owned(), "m4ster".into())]),
        ..Properties::default()
    }
}

fn try_build(
    command: &Value,
    properties: &Properties,
    setup: &DoveadmSetup,
    origin: Origin,
) -> Result<Invocation, Vec<String>> {
    let texts = |faults: Vec<Fault>| faults.iter().map(Fault::to_string).collect::<Vec<_>>();
    let command = Command::from_value(command).unwrap();
    let template = CommandTemplate::compile(&command).map_err(texts)?.template;
    let rendered = template.render(properties).map_err(texts)?;
    build(&rendered, setup, &Rules::worker(origin)).map_err(texts)
}

fn build23(command: &Value) -> Invocation {
    try_build(command, &properties(), &setup("2.3.19.1"), Origin::Api).unwrap()
}

fn refused(command: &Value) -> Vec<String> {
    try_build(command, &properties(), &setup("2.3.19.1"), Origin::Worker).unwrap_err()
}

fn backup(options: &Value, arguments: &Value) -> Value {
    json!({"name": "doveadm", "options": options, "subCommand": {"name": "backup", "flags": ["-R"],
        "options": [{"name": "-u", "value": "%{mdb:uid}"}], "arguments": arguments}})
}

fn manual() -> Value {
    let options = json!([
        {"name": "imapc_user", "value": "%{mdb:ruid}"},
        {"name": "imapc_password", "value": "%{mdb:sourcepasswd}"},
        {"name": "-o", "value": "imapc_host=%{mdb:sourcehost}"}]);
    backup(&options, &json!(["imapc:", "{%mdb:exclude}"]))
}

#[test]
fn the_command_of_the_manual_runs_without_a_secret_in_argv() {
    let invocation = build23(&manual());
    assert_eq!(invocation.program, "/usr/bin/doveadm");
    assert_eq!(
        invocation.args,
        [
            "-c",
            "/proc/self/fd/0",
            "-o",
            "imapc_user=source_user1",
            "-o",
            "imapc_host=imap.host.1",
            "-o",
            "mail_plugins=quota zlib notify mail_log",
            "-o",
            "plugin/mail_log_events=save copy expunge",
            "-o",
            "plugin/mail_log_fields=uid box",
            "backup",
            "-R",
            "-u",
            "target_user1",
            "-x",
            "INBOX/Trash",
            "-x",
            "My Folder",
            "imapc:",
        ]
    );
    assert_eq!(
        invocation.stdin_config.as_ref().unwrap().expose_secret(),
        "!include /etc/dovecot/dovecot.conf\nimapc_password = \"p\\\"a\\\\s %s$#{}<x  y\"\n"
    );
    assert_eq!(
        invocation.display(),
        "/usr/bin/doveadm -c /etc/dovecot/dovecot.conf -o imapc_user=source_user1 -o imapc_password=<hidden> \
         -o imapc_host=imap.host.1 -o \"mail_plugins=quota zlib notify mail_log\" \
         -o \"plugin/mail_log_events=save copy expunge\" -o \"plugin/mail_log_fields=uid box\" backup -R \
         -u target_user1 -x INBOX/Trash -x \"My Folder\" imapc:"
    );
    assert_eq!((invocation.kind, invocation.master_user, invocation.success_code), (RunKind::Sync, false, 0));
    assert!(!format!("{invocation:?}").contains("p\\\"a"));
}

#[test]
fn from_2_4_on_settings_and_configuration_are_written_anew() {
    let odd = Properties { sourcepasswd: Some("a%{b}%c".into()), ..properties() };
    let invocation = try_build(&manual(), &odd, &setup("2.4.1-4"), Origin::Api).unwrap();
    assert_eq!(
        invocation.stdin_config.as_ref().unwrap().expose_secret(),
        "dovecot_config_version = 2.4.1\n!include /etc/dovecot/dovecot.conf\nimapc_password = \"a%%{b}%c\"\n"
    );
    assert!(invocation.args.contains(&"mail_log_events=save copy expunge".to_owned()));
    assert!(!invocation.args.iter().any(|arg| arg.starts_with("plugin/")));
}

#[test]
fn the_remote_mailbox_is_named_as_the_version_wants_it() {
    let status = |remote: &str| {
        json!({"name": "doveadm", "options": [{"name": "-f", "value": "tab"}, {"name": "-o", "value": remote},
            {"name": "-o", "value": "imapc_master_user=admin"}],
            "subCommand": {"name": "mailbox", "subCommand": {"name": "status", "options": {"name": "-u", "value": "u"},
            "arguments": ["messages vsize", "INBOX/*", "INBOX", "*"]}}})
    };
    for remote in ["mail=imapc:", "mail_location=imapc:", "mail_driver=imapc"] {
        let old = try_build(&status(remote), &properties(), &setup("2.3.21"), Origin::Worker).unwrap();
        assert!(
            old.display().contains("-o mail=imapc: ") || old.display().contains("-o mail_location=imapc: ")
        );
        let new = try_build(&status(remote), &properties(), &setup("2.4.2"), Origin::Worker).unwrap();
        assert!(
            new.display().contains("-o mail_driver=imapc ") && !new.display().contains("imapc:"),
            "{}",
            new.display()
        );
        assert_eq!((old.kind, new.kind), (RunKind::RemoteCount, RunKind::RemoteCount));
        assert!(old.master_user && new.master_user && new.stdin_config.is_none());
    }
    let path = try_build(&status("mail=imapc:"), &properties(), &setup("2.4.2"), Origin::Worker).unwrap();
    assert!(path.args.windows(2).any(|pair| pair == ["-o", "mail_path="]));
    assert!(!path.display().contains("mail_log"));
    let local = try_build(&status("imapc_port=1"), &properties(), &setup("2.3.21"), Origin::Worker).unwrap();
    assert_eq!(local.kind, RunKind::LocalCount);
}

#[test]
fn the_settings_of_a_user_go_to_the_base_command() {
    for command in [
        backup(&json!([]), &json!(["%{mdb:imapcoptions}", "imapc:"])),
        backup(&json!([{"name": "-o", "value": "%{mdb:imapcoptions}"}]), &json!("imapc:")),
    ] {
        let invocation = build23(&command);
        assert_eq!(invocation.args[..4], ["-c", "/etc/dovecot/dovecot.conf", "-o", "imapc_cmd_timeout=60s"]);
        let evil = Properties { imapcoptions: Some(vec!["libexec_dir=/x".into()]), ..properties() };
        let faults = try_build(&command, &evil, &setup("2.3.19.1"), Origin::Worker).unwrap_err();
        assert!(faults[0].contains("the imapc option libexec_dir is not allowed"), "{faults:?}");
    }
}

#[test]
fn what_counts_mails_is_set_whatever_the_command_says_about_it() {
    let options = json!([{"name": "mail_plugins", "value": "$mail_plugins notify acl"},
        {"name": "-o", "value": "plugin/mail_log_fields=uid box size"},
        {"name": "-o", "value": "mail_log_events=flag_change"}]);
    let command = backup(&options, &json!("imapc:"));
    let build =
        |setup: &DoveadmSetup| try_build(&command, &properties(), setup, Origin::Worker).unwrap().args;
    let set = |args: &[String]| -> Vec<String> {
        args.windows(2).filter(|pair| pair[0] == "-o").map(|pair| pair[1].clone()).collect()
    };
    assert_eq!(
        set(&build(&setup("2.3.19.1"))),
        [
            "mail_plugins=quota zlib notify acl mail_log",
            "plugin/mail_log_events=flag_change save copy expunge",
            "plugin/mail_log_fields=uid box"
        ]
    );
    assert_eq!(
        set(&build(&setup("2.4.1"))),
        [
            "mail_plugins=quota zlib notify acl mail_log",
            "mail_log_events=flag_change save copy expunge",
            "mail_log_fields=uid box"
        ]
    );
    let only_events = MailLog { events: true, ..MailLog::NONE };
    assert_eq!(
        set(&build(&DoveadmSetup { mail_log: only_events, ..setup("2.3.19.1") })),
        [
            "plugin/mail_log_fields=uid box size",
            "mail_plugins=quota zlib notify acl",
            "plugin/mail_log_events=flag_change save copy expunge"
        ]
    );
    let off = DoveadmSetup { mail_log: MailLog::NONE, ..setup("2.3.19.1") };
    let plain =
        try_build(&backup(&json!([]), &json!("imapc:")), &properties(), &off, Origin::Worker).unwrap();
    assert_eq!(plain.args.join(" "), "-c /etc/dovecot/dovecot.conf backup -R -u target_user1 imapc:");
}

#[test]
fn a_remote_mailbox_with_a_path_is_a_remote_mailbox() {
    let command = json!({"name": "doveadm", "options": {"name": "mail_location", "value": "imapc:~/imapc"},
        "subCommand": {"name": "mailbox", "subCommand": {"name": "status", "options": {"name": "-u", "value": "u"},
        "arguments": ["messages", "*"]}}});
    for (version, setting) in [("2.3.19.1", "mail_location=imapc:~/imapc"), ("2.4.1", "mail_path=~/imapc")] {
        let invocation = try_build(&command, &properties(), &setup(version), Origin::Worker).unwrap();
        assert_eq!(invocation.kind, RunKind::RemoteCount);
        assert!(invocation.args.contains(&setting.to_owned()), "{}", invocation.display());
    }
}

#[test]
fn a_configuration_of_the_command_is_included() {
    let options = json!([{"name": "-c", "value": "/etc/dovecot/other.conf"}, {"name": "pop3c_master_password", "value": "x"}]);
    let invocation =
        try_build(&backup(&options, &json!("imapc:")), &properties(), &setup("2.3.19.1"), Origin::Worker)
            .unwrap();
    let config = invocation.stdin_config.as_ref().unwrap().expose_secret();
    assert_eq!(config, "!include /etc/dovecot/other.conf\npop3c_master_password = \"x\"\n");
    assert_eq!(invocation.args.iter().filter(|arg| *arg == "-c").count(), 1);
    let default = DoveadmSetup { config: None, ..setup("2.3.19.1") };
    let secret = try_build(&manual(), &properties(), &default, Origin::Worker).unwrap();
    assert!(secret.stdin_config.unwrap().expose_secret().starts_with("!include /etc/dovecot/dovecot.conf\n"));
    let plain =
        try_build(&backup(&json!([]), &json!("imapc:")), &properties(), &default, Origin::Worker).unwrap();
    assert_eq!(plain.args[0], "-o");
}

#[test]
fn secrets_that_can_not_be_hidden_are_refused() {
    let in_flag = json!({"name": "doveadm", "subCommand": {"name": "backup", "flags": ["-R", "-s%{conf:imapc_master_password}"],
        "options": {"name": "-u", "value": "u"}, "arguments": "imapc:"}});
    let counts = "%{conf:imapc_master_password} counts as a password by its name";
    let faults = refused(&in_flag);
    assert!(
        faults.len() == 1 && faults[0].starts_with(&format!("subCommand.flags[1]: {counts}")),
        "{faults:?}"
    );
    let hook =
        json!({"name": "/opt/lock-user", "arguments": ["%{mdb:uid}", "%{conf:imapc_master_password}"]});
    let faults = refused(&hook);
    assert!(faults.len() == 1 && faults[0].starts_with(&format!("arguments[1]: {counts}")), "{faults:?}");
    // Options of doveadm itself that are no settings stand in argv.
    let format = json!({"name": "-f", "value": "%{conf:imapc_master_password}"});
    assert!(refused(&backup(&format, &json!("imapc:"))).contains(&SECRET_IN_ARGV.to_owned()));
    let line_end = Properties { sourcepasswd: Some("a\nb".into()), ..properties() };
    let faults = try_build(&manual(), &line_end, &setup("2.3.19.1"), Origin::Worker).unwrap_err();
    assert!(faults[0].contains("imapc_password holds a line end") && !faults[0].contains('\n'), "{faults:?}");
}

#[test]
fn injected_values_are_held_to_the_rules() {
    let masked = Properties { uid: Some("a*".into()), ..properties() };
    let faults = try_build(&manual(), &masked, &setup("2.3.19.1"), Origin::Worker).unwrap_err();
    assert!(faults[0].contains("a mask over users"), "{faults:?}");
    let destination = backup(&json!([]), &json!(["%{conf:to}"]));
    let to = |to: &str| Properties { inject: BTreeMap::from([("to".to_owned(), to.into())]), ..properties() };
    assert!(try_build(&destination, &to("imapc:"), &setup("2.3.19.1"), Origin::Worker).is_ok());
    assert!(try_build(&destination, &to("ssh root@x"), &setup("2.3.19.1"), Origin::Worker).is_err());
    assert!(refused(&backup(&json!([]), &json!(["imapc:", "-x", "Spam"])))[0].contains("nothing may follow"));
}

#[test]
fn other_programs_run_as_they_are() {
    let hook = json!({"name": "/opt/lock-user", "flags": "-v", "options": {"name": "-u", "value": "%{mdb:uid}"},
        "arguments": ["a b", "$(id)", "%{mdb:exclude}"], "successCode": 3});
    let invocation = try_build(&hook, &properties(), &setup("2.3.19.1"), Origin::Worker).unwrap();
    assert_eq!(invocation.program, "/opt/lock-user");
    assert_eq!(
        invocation.args,
        ["-v", "-u", "target_user1", "a b", "$(id)", "-x", "INBOX/Trash", "-x", "My Folder"]
    );
    assert_eq!((invocation.kind, invocation.success_code), (RunKind::Other, 3));
    assert_eq!(
        invocation.display(),
        "/opt/lock-user -v -u target_user1 \"a b\" \"$(id)\" -x INBOX/Trash -x \"My Folder\""
    );
    assert!(
        try_build(&hook, &properties(), &setup("2.3.19.1"), Origin::Api).unwrap_err()[0]
            .contains("dmf.worker.command.allow")
    );
}

proptest! {
    #[test]
    fn whatever_is_injected_stays_one_item_and_no_secret_is_in_argv(
        uid in "[^*?\\x00]{1,20}", password in "[^\\n\\r\\x00]{1,20}", folders in vec(any::<String>(), 0..4)
    ) {
        let folders: Vec<String> = folders.into_iter().map(|folder| folder.replace('\0', "")).collect();
        let marked = format!("S3CRET{password}");
        let properties = Properties {
            uid: Some(uid.clone()), ruid: Some(uid.clone()), sourcepasswd: Some(marked.clone().into()),
            exclude: Some(folders.clone()), ..properties()
        };
        let invocation = try_build(&manual(), &properties, &setup("2.3.19.1"), Origin::Worker).unwrap();
        prop_assert_eq!(&invocation.args[3], &format!("imapc_user={uid}"));
        let tail: Vec<&str> = invocation.args.iter().skip_while(|arg| *arg != "backup").map(String::as_str).collect();
        let mut expected = vec!["backup", "-R", "-u", uid.as_str()];
        for folder in &folders {
            expected.extend(["-x", folder.as_str()]);
        }
        expected.push("imapc:");
        prop_assert_eq!(tail, expected);
        prop_assert!(invocation.args.iter().all(|arg| !arg.contains("S3CRET")));
        prop_assert!(!invocation.display().contains("S3CRET"));
    }
}
