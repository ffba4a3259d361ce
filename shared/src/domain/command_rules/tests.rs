use serde_json::{Value, json};

use super::*;

fn backup() -> Value {
    json!({"name": "doveadm", "options": [
            {"name": "imapc_user", "value": "%{mdb:ruid}"},
            {"name": "imapc_password", "value": "%{conf:imapc_master_password}"},
            {"name": "imapc_host", "value": "imap.host.1"}],
        "subCommand": {"name": "backup", "flags": ["-R"], "options": [{"name": "-u", "value": "%{mdb:uid}"}],
            "arguments": ["imapc:"]}})
}

fn status() -> Value {
    json!({"name": "doveadm", "options": [{"name": "-f", "value": "tab"}, {"name": "-o", "value": "mail=imapc:"}],
        "subCommand": {"name": "mailbox", "subCommand": {"name": "status", "options": {"name": "-u", "value": "u"},
            "arguments": ["messages vsize", "INBOX/*", "INBOX", "*"]}}})
}

fn check_with(value: &Value, rules: &Rules, stage: Stage) -> Vec<String> {
    check(&Command::from_value(value).unwrap(), rules, stage).iter().map(Fault::to_string).collect()
}

fn api(value: &Value) -> Vec<String> {
    check_with(value, &Rules::api(), Stage::Template)
}

fn strict(value: &Value) -> Vec<String> {
    check_with(value, &Rules::worker(Origin::Api), Stage::Template)
}

fn edit(mut value: Value, pointer: &str, with: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = with;
    value
}

#[track_caller]
fn one(faults: &[String], part: &str) {
    assert!(faults.len() == 1 && faults[0].contains(part), "{faults:#?}");
}

#[test]
fn the_commands_of_the_manual_are_allowed_everywhere() {
    for command in [backup(), status(), json!({"name": "ignore"})] {
        assert_eq!(api(&command), Vec::<String>::new());
        assert_eq!(strict(&command), Vec::<String>::new());
        assert_eq!(
            check_with(&command, &Rules::worker(Origin::Worker), Stage::Template),
            Vec::<String>::new()
        );
    }
    let excluding = edit(backup(), "/subCommand/arguments", json!(["imapc:", "{%mdb:exclude}"]));
    assert_eq!(strict(&excluding), Vec::<String>::new());
    let example = json!({"name": "/usr/bin/doveadm", "flags": "-D", "options": [
            {"name": "mail_prefetch_count", "value": "20"}, {"name": "pop3c_host", "value": "sourceplatform"},
            {"name": "imapc_features", "value": "search rfc822.size"}],
        "subCommand": {"name": "sync", "flags": ["-1R"], "options": [{"name": "-u", "value": "u"}, {"name": "-x", "value": "Spam"}],
            "arguments": "imapc:"}});
    assert_eq!(strict(&example), Vec::<String>::new());
}

#[test]
fn the_api_runs_no_other_program() {
    one(&strict(&json!({"name": "/bin/sh", "flags": "-c", "arguments": "id"})), "dmf.worker.command.allow");
    one(&api(&json!({"name": "%{conf:x}", "arguments": "id"})), "without properties");
    assert_eq!(
        api(&json!({"name": "/opt/own-sync", "arguments": "id"})),
        Vec::<String>::new(),
        "a worker may allow it"
    );
    let own = Rules { programs: Some(vec!["/opt/own-sync".into()]), ..Rules::worker(Origin::Api) };
    assert_eq!(
        check_with(&json!({"name": "/opt/own-sync", "arguments": "id"}), &own, Stage::Rendered),
        Vec::<String>::new()
    );
    assert_eq!(
        check_with(&json!({"name": "/bin/sh"}), &Rules::worker(Origin::Worker), Stage::Rendered),
        Vec::<String>::new()
    );
}

#[test]
fn the_api_runs_no_other_command_of_doveadm() {
    for sub in [
        json!({"name": "exec", "arguments": "id"}),
        json!({"name": "mailbox", "subCommand": {"name": "delete"}}),
        json!({"name": "mailbox", "flags": "-x", "arguments": "status"}),
        json!({"name": "batch", "arguments": [":", "backup"]}),
    ] {
        let command = json!({"name": "doveadm", "subCommand": sub});
        one(&api(&command), "only backup, sync and mailbox status");
        assert_eq!(
            check_with(&command, &Rules::worker(Origin::Worker), Stage::Template),
            Vec::<String>::new()
        );
    }
    one(&api(&json!({"name": "doveadm", "subCommand": {"name": "%{conf:x}"}})), "without properties");
}

#[test]
fn settings_that_reach_beyond_mail_are_refused() {
    let with = |name: &str, value: &str| edit(backup(), "/options/0", json!({"name": name, "value": value}));
    for (name, value) in [
        ("libexec_dir", "/usr/bin"),
        ("-o", "libexec_dir=/usr/bin"),
        ("-o", "mail_plugin_dir=/tmp"),
        ("-o", "dsync_remote_cmd=id"),
        ("imapc_rawlog_dir", "/tmp"),
        ("auth_socket_path", "/x"),
        ("-o", "plugin/libexec_dir=/x"),
        ("-o", "service/x/executable=/bin/sh"),
    ] {
        one(&api(&with(name, value)), "may not come from outside");
        let all = Rules { settings: Some(vec!["*".into()]), ..Rules::worker(Origin::Api) };
        one(&check_with(&with(name, value), &all, Stage::Rendered), "may not come from outside");
        assert_eq!(
            check_with(&with(name, value), &Rules::worker(Origin::Worker), Stage::Rendered),
            Vec::<String>::new()
        );
    }
    one(&api(&with("-c", "/tmp/x.conf")), "-c may not");
    one(&strict(&with("-o", "mail_location=mdbox:/mail/other")), "dmf.worker.doveadm-settings.allow");
    one(&strict(&with("mail_plugins", "sieve")), "dmf.worker.doveadm-settings.allow");
    assert_eq!(strict(&with("mail_plugins", "notify mail_log")), Vec::<String>::new());
    assert_eq!(api(&with("mail_max_lock_timeout", "1s")), Vec::<String>::new(), "a worker may allow it");
    let own = Rules { settings: Some(vec!["mail_max_*".into()]), ..Rules::worker(Origin::Api) };
    assert_eq!(check_with(&with("mail_max_lock_timeout", "1s"), &own, Stage::Template), Vec::<String>::new());
}

#[test]
fn mailbox_status_takes_no_options_among_its_words() {
    let status = |arguments: Value| {
        json!({"name": "doveadm", "subCommand": {"name": "mailbox", "subCommand": {"name": "status",
            "options": {"name": "-u", "value": "u"}, "arguments": arguments}}})
    };
    for words in [
        json!(["messages", "*", "-F", "/etc/passwd"]),
        json!(["messages", "-A", "*"]),
        json!(["messages", "-S/run/doveadm", "*"]),
        json!(["messages", "*", "-u", "other"]),
        json!(["messages", "*", "--"]),
    ] {
        let command = status(words);
        one(&api(&command), "begins with a hyphen");
        one(&check_with(&command, &Rules::worker(Origin::Worker), Stage::Rendered), "begins with a hyphen");
    }
    assert_eq!(api(&status(json!(["messages vsize", "INBOX/*", "-"]))), Vec::<String>::new());
}

#[test]
fn exclusions_belong_to_the_sub_command() {
    for field in ["arguments", "flags"] {
        for hole in ["%{mdb:exclude}", "{%mdb:exclude}"] {
            let mut command = backup();
            command[field] = json!([hole]);
            one(&api(&command), &format!("{field}[0]: the folders to leave out are options of backup"));
        }
        let mut command = backup();
        command[field] = json!(["%{mdb:imapcoptions}"]);
        assert_eq!(api(&command), Vec::<String>::new());
    }
}

#[test]
fn malformed_base_commands_are_refused() {
    let base = |field: &str, value: Value| {
        let mut command = backup();
        command[field] = value;
        command
    };
    one(
        &api(&base("arguments", json!(["this is wrong"]))),
        "arguments[0]: doveadm itself takes no arguments",
    );
    one(&api(&base("flags", json!(["-Rx"]))), "flags[0]: doveadm itself takes no flags but");
    one(&api(&base("flags", json!(["-olibexec_dir=/x"]))), "takes no flags but");
    one(
        &api(&base("options", json!([{"name": "-i", "value": "x"}]))),
        "options[0].name: doveadm itself takes no options",
    );
    one(&api(&base("options", json!([{"name": "-o", "value": "x"}]))), "key=value");
    one(&api(&base("options", json!([{"name": "-o", "value": "%{mdb:ruid}=1"}]))), "without properties");
    one(&api(&base("options", json!([{"name": "-o", "value": "a b=1"}]))), "no name of a setting");
    one(&api(&base("options", json!([{"name": "-f", "value": "pager"}]))), "tab, json, flow");
    one(&api(&base("options", json!([{"name": "-D", "value": ""}]))), "write it as a flag");
    one(&api(&json!({"name": "doveadm", "flags": "-D"})), "subCommand: doveadm needs a sub command");
    one(&api(&json!({"name": "doveadm"})), "needs a sub command");
}

#[test]
fn the_destination_is_imapc_and_the_last_word() {
    let arguments = |arguments: Value| edit(backup(), "/subCommand/arguments", arguments);
    one(&api(&arguments(json!([]))), "the destination imapc: is missing");
    one(&api(&arguments(json!(["imapc:", "-x", "Spam"]))), "subCommand.arguments[1]: nothing may follow");
    one(&api(&arguments(json!(["imapc:", "id"]))), "nothing may follow");
    one(&api(&arguments(json!(["mdbox:~/other"]))), "the destination must be imapc:");
    one(&api(&arguments(json!(["ssh"]))), "must be imapc:");
    assert_eq!(api(&arguments(json!(["-x", "Spam", "imapc:"]))), Vec::<String>::new());
    assert_eq!(api(&arguments(json!(["tcps:host"]))), Vec::<String>::new(), "a worker may allow it");
    one(&strict(&arguments(json!(["tcps:host"]))), "allow-doveadm-protocol");
    assert_eq!(api(&arguments(json!(["%{conf:destination}"]))), Vec::<String>::new());
    one(&api(&arguments(json!(["--user", "x", "imapc:"]))), "long options");
    let sub = json!({"name": "doveadm", "subCommand": {"name": "backup", "flags": "-R", "options": {"name": "-u", "value": "u"},
        "arguments": "imapc:", "subCommand": {"name": "exec"}}});
    one(&api(&sub), "nothing may follow");
}

#[test]
fn nothing_writes_to_the_source() {
    let without = edit(backup(), "/subCommand/flags", json!([]));
    assert_eq!(api(&without), Vec::<String>::new(), "a worker may allow it");
    one(&strict(&without), "writes to the source");
    for (flags, good) in
        [(json!(["-R"]), false), (json!(["-1"]), false), (json!(["-1", "-R"]), true), (json!(["-R1f"]), true)]
    {
        let sync = edit(edit(backup(), "/subCommand/name", json!("sync")), "/subCommand/flags", flags);
        assert_eq!(strict(&sync).is_empty(), good, "{sync}");
    }
    let both = Rules { write_to_source: true, ..Rules::worker(Origin::Worker) };
    assert_eq!(check_with(&without, &both, Stage::Template), Vec::<String>::new());
}

#[test]
fn one_user_and_no_mask() {
    let user = |options: Value| edit(backup(), "/subCommand/options", options);
    one(&api(&user(json!([]))), "-u with the user is missing");
    one(&api(&user(json!([{"name": "-u", "value": "*"}]))), "a mask over users");
    one(&api(&user(json!([{"name": "-u", "value": ""}]))), "is empty");
    one(&api(&user(json!([{"name": "-u", "value": "a"}, {"name": "-u", "value": "b"}]))), "given twice");
    for flags in
        [json!(["-R", "-A"]), json!(["-AR"]), json!(["-R", "-F/tmp/users"]), json!(["-R", "-r/tmp/raw"])]
    {
        one(&api(&edit(backup(), "/subCommand/flags", flags)), "may not be used here");
    }
    for mask in ["a?", "%{mdb:uid}*"] {
        one(
            &check_with(
                &user(json!([{"name": "-u", "value": mask}])),
                &Rules::worker(Origin::Worker),
                Stage::Rendered,
            ),
            "mask",
        );
    }
    // Hidden in another option's value it is a value, not an option.
    one(&api(&user(json!([{"name": "-x", "value": "-u"}]))), "is missing");
    let command = Command::from_value(&user(json!([{"name": "-uwho", "value": "imapc:"}]))).unwrap();
    assert_eq!(DoveadmCall::read(&command, Stage::Rendered).user(), Some("who"));
}

#[test]
fn a_count_needs_fields_and_mailboxes() {
    one(
        &api(&edit(status(), "/subCommand/subCommand/arguments", json!(["messages"]))),
        "its fields and at least one mailbox",
    );
    one(&api(&edit(status(), "/subCommand/subCommand/options/value", json!("a*"))), "a mask over users");
    one(&api(&edit(status(), "/subCommand/subCommand/options/name", json!("-Z"))), "unknown option -Z");
}

#[test]
fn the_options_of_a_user_are_few() {
    for good in [
        "imapc_features=a b",
        "imapc_cmd_timeout=1s",
        "imapc_connection_retry_count=5",
        "imapc_ssl_verify=no",
    ] {
        assert_eq!(imapc_option_fault(good, &[]), None, "{good}");
    }
    for bad in ["imapc_host=evil", "imapc_features", "libexec_dir=/x", "a b=c", "=x", "imapc_rawlog_dir=/tmp"]
    {
        assert!(imapc_option_fault(bad, &[]).is_some(), "{bad}");
    }
    assert_eq!(imapc_option_fault("imapc_sasl_mechanisms=PLAIN", &["imapc_sasl_*".into()]), None);
    assert!(imapc_option_fault("imapc_rawlog_dir=/tmp", &["imapc_*".into()]).is_some());
}

#[test]
fn the_api_hears_of_all_faults_at_once() {
    let (command, warnings) =
        read_from_api(&edit(backup(), "/subCommand/arguments", json!(["{%mdb:exclude}", "imapc:"]))).unwrap();
    assert_eq!((command.name.as_str(), warnings.len()), ("doveadm", 1));
    let bad = edit(
        edit(backup(), "/options/0", json!({"name": "libexec_dir", "value": "/usr/bin"})),
        "/subCommand/options/0/value",
        json!("%{mdb:uidd}"),
    );
    let faults: Vec<String> = read_from_api(&bad).unwrap_err().iter().map(Fault::to_string).collect();
    assert!(
        faults[0].starts_with("subCommand.options[0].value: unknown property %{mdb:uidd}; there are: uid "),
        "{faults:?}"
    );
    assert!(faults[1].starts_with("options[0].name: the setting libexec_dir may not"), "{faults:?}");
    assert!(read_from_api(&json!({"name": "doveadm", "nam": 1})).is_err());
    assert!(read_from_api(&json!({"name": "ignore"})).unwrap().0.is_placeholder());
}

#[test]
fn one_text_may_hold_several_imapc_options() {
    for (text, options) in [
        ("imapc_cmd_timeout=60s", &["imapc_cmd_timeout=60s"][..]),
        (
            "imapc_features=rfc822.size fetch-headers  imapc_cmd_timeout=60s ",
            &["imapc_features=rfc822.size fetch-headers", "imapc_cmd_timeout=60s"],
        ),
        (
            "imapc_cmd_timeout=60s, imapc_list_prefix=A=B c",
            &["imapc_cmd_timeout=60s", "imapc_list_prefix=A=B c"],
        ),
        ("imapc_list_prefix=", &["imapc_list_prefix="]),
        ("-o imapc_cmd_timeout=60s", &["-o", "imapc_cmd_timeout=60s"]),
        ("imapc_features=é imapc_password=x", &["imapc_features=é", "imapc_password=x"]),
        ("no option", &["no option"]),
        (" a=b", &["", "a=b"]),
        ("", &[""]),
    ] {
        assert_eq!(split_imapc_options(text), options, "{text:?}");
    }
}
