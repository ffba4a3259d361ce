use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::domain::{
    command::{Command, Fault},
    user::ImapcSsl,
};

fn compile(value: &Value) -> Compiled {
    CommandTemplate::compile(&Command::from_value(value).unwrap()).unwrap()
}

fn faults(value: &Value) -> Vec<String> {
    let faults = CommandTemplate::compile(&Command::from_value(value).unwrap()).unwrap_err();
    faults.iter().map(Fault::to_string).collect()
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), SecretString::from(*value))).collect()
}

fn properties() -> Properties {
    Properties {
        uid: Some("target@example.org".into()),
        ruid: Some("üser1".into()),
        sourcehost: Some("imap.host.1".into()),
        container: Some("c1".into()),
        source: Some("CustomerX".into()),
        sourcepasswd: Some("s3cret".into()),
        imapcoptions: Some(vec!["imapc_features=search modseq".into(), "imapc_cmd_timeout=60s".into()]),
        email: Some("user@example.org".into()),
        sourceport: Some(993),
        imapc_ssl: Some(ImapcSsl::Imaps),
        exclude: Some(vec!["INBOX".into(), "My Folder".into()]),
        conf: map(&[
            ("imapc_host", "10.0.0.1"),
            ("imapc_master_password", "m4ster"),
            ("imapc_master_user", "admin"),
        ]),
        inject: map(&[("mykey", "myvalue"), ("api_secret", "h1dden")]),
    }
}

fn argv_with(value: &Value, properties: &Properties) -> Vec<String> {
    let rendered = compile(value).template.render(properties).unwrap();
    rendered.items().map(|item| item.expose().to_owned()).collect()
}

fn argv(value: &Value) -> Vec<String> {
    argv_with(value, &properties())
}

fn render_faults(value: &Value, properties: &Properties) -> Vec<String> {
    let faults = compile(value).template.render(properties).unwrap_err();
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn every_property_is_injected() {
    let arguments = [
        "%{mdb:uid}",
        "%{mdb:ruid}",
        "%{mdb:sourcehost}",
        "%{mdb:2chruid}",
        "%{mdb:container}",
        "%{mdb:md5path}",
        "%{mdb:source}",
        "%{mdb:email}",
        "%{mdb:sourceport}",
        "%{mdb:imapc_ssl}",
        "%{conf:imapc_host}",
        "%{conf:imapc_master_user}",
        "%{conf:mykey}",
        "a%{mdb:source}b%{mdb:source}",
    ];
    let rendered = argv(&json!({"name": "echo", "arguments": arguments}));
    assert_eq!(
        rendered[1..],
        [
            "target@example.org",
            "üser1",
            "imap.host.1",
            "üs",
            "c1",
            "fa/98",
            "CustomerX",
            "user@example.org",
            "993",
            "imaps",
            "10.0.0.1",
            "admin",
            "myvalue",
            "aCustomerXbCustomerX",
        ]
    );
}

#[test]
fn names_options_and_sub_commands_have_holes_too() {
    let command = json!({"name": "echo", "flags": "-%{mdb:source}", "options": {"name": "%{mdb:source}", "value": "=%{mdb:uid}="},
        "subCommand": {"name": "x%{mdb:source}"}});
    assert_eq!(argv(&command), ["echo", "-CustomerX", "CustomerX", "=target@example.org=", "xCustomerX"]);
}

#[test]
fn lists_become_items() {
    let alone =
        json!({"name": "echo", "flags": "%{mdb:exclude}", "arguments": ["%{mdb:imapcoptions}", "imapc:"]});
    assert_eq!(
        argv(&alone),
        [
            "echo",
            "-x",
            "INBOX",
            "-x",
            "My Folder",
            "-o",
            "imapc_features=search modseq",
            "-o",
            "imapc_cmd_timeout=60s",
            "imapc:"
        ]
    );
    let value = json!({"name": "echo", "options": [{"name": "-x", "value": "%{mdb:exclude}"}, {"name": "-o", "value": "%{mdb:imapcoptions}"}]});
    assert_eq!(
        argv(&value).join("|"),
        "echo|-x|INBOX|-x|My Folder|-o|imapc_features=search modseq|-o|imapc_cmd_timeout=60s"
    );
    let none = Properties { exclude: None, imapcoptions: Some(vec![]), ..properties() };
    assert_eq!(argv_with(&alone, &none), ["echo", "imapc:"]);
    assert_eq!(argv_with(&value, &none), ["echo"]);
}

#[test]
fn the_spelling_of_the_manual_is_taken_with_a_warning() {
    let compiled = compile(&json!({"name": "echo", "arguments": ["{%mdb:exclude}"]}));
    assert_eq!(compiled.warnings[0].to_string(), "arguments[0]: {% is read as %{: write %{mdb:exclude}");
    assert_eq!(argv(&json!({"name": "echo", "arguments": ["{%mdb:exclude}"]})).len(), 5);
}

#[test]
fn what_can_not_work_is_refused_when_it_is_stored() {
    let all = faults(&json!({"name": "doveadm", "arguments": ["a%{mdb:exclude}", "%{mdb:uid", "%{conf:}"],
        "subCommand": {"name": "backup", "flags": ["%{mdb:sourcepasswd}", "%{MDB:uid}"], "options": [
            {"name": "-u", "value": "%{mdb:uidd}"}, {"name": "-l", "value": "%{mdb:exclude}"},
            {"name": "-s", "value": "%{mdb:sourcepasswd}"}]}}));
    assert_eq!(
        all,
        [
            "arguments[0]: %{mdb:exclude} is a list: it stands alone as a flag, as an argument or as the value of the option -x",
            "arguments[1]: %{mdb:… has no closing brace",
            "arguments[2]: %{conf:} names no property",
            "subCommand.flags[0]: %{mdb:sourcepasswd} may stand only in a setting (an option) of the doveadm command itself; a hook gets the password by its environment",
            "subCommand.flags[1]: unknown property %{MDB:uid}; write %{mdb:…} or %{conf:…} in small letters",
            "subCommand.options[0].value: unknown property %{mdb:uidd}; there are: uid ruid sourcehost 2chruid container md5path source sourcepasswd imapcoptions email sourceport imapc_ssl exclude",
            "subCommand.options[1].value: %{mdb:exclude} is a list: it stands alone as a flag, as an argument or as the value of the option -x",
            "subCommand.options[2].value: %{mdb:sourcepasswd} may stand only in a setting (an option) of the doveadm command itself; a hook gets the password by its environment",
        ]
    );
    assert_eq!(
        faults(&json!({"name": "echo", "options": {"name": "-p", "value": "%{mdb:sourcepasswd}"}})).len(),
        1
    );
}

#[test]
fn variables_of_dovecot_stay() {
    let texts = ["%{user}", "%{userdb:mail}", "%u", "100%", "{x}", "%%{mdb:source}", "%{"];
    let rendered = argv(&json!({"name": "echo", "arguments": texts}));
    assert_eq!(rendered[1..], ["%{user}", "%{userdb:mail}", "%u", "100%", "{x}", "%CustomerX", "%{"]);
}

#[test]
fn a_property_without_a_value_is_named() {
    let command = json!({"name": "echo", "arguments": ["%{mdb:email}", "%{conf:imapc_prefix}", "%{conf:nokey}", "%{mdb:uid}"]});
    let none = Properties { email: None, ..properties() };
    assert_eq!(
        render_faults(&command, &none),
        [
            "arguments[0]: %{mdb:email} has no value for this user",
            "arguments[1]: %{conf:imapc_prefix} has no value in the worker's configuration of this source",
            "arguments[2]: unknown property %{conf:nokey}; there are: imapc_host imapc_master_password imapc_master_user imapc_prefix imapc_port api_secret mykey",
        ]
    );
}

#[test]
fn the_value_of_a_key_is_no_key() {
    let compiled = compile(
        &json!({"name": "echo", "arguments": ["%{conf:myvalue}", "%{conf:m4ster}", "%{conf:mykey}"]}),
    );
    let unknown = compiled.template.unknown_conf(&properties());
    assert_eq!(unknown.len(), 2);
    assert!(unknown[0].message.contains("the key mykey, write %{conf:mykey}"), "{}", unknown[0]);
    assert!(unknown[1].message.contains("imapc_master_password") && !unknown[1].message.contains("m4ster"));
}

#[test]
fn overrides_come_before_everything() {
    let mine = Properties {
        inject: map(&[("uid", "other"), ("imapc_host", "h2"), ("exclude", "x y")]),
        ..properties()
    };
    let command =
        json!({"name": "echo", "arguments": ["%{mdb:uid}", "%{conf:imapc_host}", "%{mdb:exclude}"]});
    assert_eq!(argv_with(&command, &mine), ["echo", "other", "h2", "-x", "x y"]);
}

#[test]
fn passwords_are_marked_and_not_shown() {
    let command = json!({"name": "doveadm", "options": [
        {"name": "-o", "value": "imapc_password=%{mdb:sourcepasswd}"},
        {"name": "imapc_master_password", "value": "%{conf:imapc_master_password}"},
        {"name": "-o", "value": "x=%{conf:api_secret}:%{mdb:source}"}]});
    let rendered = compile(&command).template.render(&properties()).unwrap();
    let shown: Vec<String> = rendered.items().map(Item::shown).collect();
    assert_eq!(
        shown.join(" "),
        "doveadm -o imapc_password=<hidden> imapc_master_password <hidden> -o x=<hidden>:CustomerX"
    );
    let exposed: Vec<&str> = rendered.items().map(Item::expose).collect();
    assert_eq!(
        exposed.join(" "),
        "doveadm -o imapc_password=s3cret imapc_master_password m4ster -o x=h1dden:CustomerX"
    );
    let debug = format!("{rendered:?} {:?} {:?}", rendered.to_command(), properties());
    for secret in ["s3cret", "m4ster", "h1dden"] {
        assert!(!debug.contains(secret), "{debug}");
    }
    assert!(rendered.levels[0].options.iter().all(|option| option.value.is_secret()));
}

#[test]
fn a_template_tells_what_it_needs() {
    let template = compile(
        &json!({"name": "doveadm", "options": {"name": "imapc_password", "value": "%{mdb:sourcepasswd}"}}),
    )
    .template;
    assert!(template.uses(&PropertyName::Mdb(MdbName::SourcePasswd)));
    assert!(!template.uses(&PropertyName::Mdb(MdbName::Uid)));
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("%{mdb:sourcepasswd}".to_owned()),
        Just("{%mdb:exclude} -x \"a\" $(id) `id`\n'".to_owned()),
        Just("-o libexec_dir=/x".to_owned()),
    ]
    .prop_map(|text| text.replace('\0', ""))
    .prop_filter("a value", |text| !text.is_empty())
}

proptest! {
    #[test]
    fn whatever_is_injected_stays_one_item(uid in hostile(), key in hostile(), folders in vec(hostile(), 0..4)) {
        let properties = Properties {
            uid: Some(uid.clone()), exclude: Some(folders.clone()), inject: map(&[("key", &key)]), ..Properties::default()
        };
        let command = json!({"name": "x", "flags": "%{mdb:exclude}", "options": {"name": "-u", "value": "<%{mdb:uid}>"},
            "arguments": ["%{mdb:uid}%{conf:key}", "%{conf:key}"]});
        let mut expected = vec!["x".to_owned()];
        for folder in folders {
            expected.extend(["-x".to_owned(), folder]);
        }
        expected.extend(["-u".to_owned(), format!("<{uid}>"), format!("{uid}{key}"), key]);
        prop_assert_eq!(argv_with(&command, &properties), expected);
    }

    #[test]
    fn any_text_compiles_or_is_refused(text in any::<String>(), more in "[%{}:a-z]{0,20}") {
        for text in [text.replace('\0', ""), format!("%{{mdb:{more}"), more] {
            let mut command = Command::named("echo");
            command.arguments = vec![text];
            if let Ok(compiled) = CommandTemplate::compile(&command) {
                let _ = compiled.template.render(&properties());
            }
        }
    }
}

#[test]
fn an_override_of_a_list_is_a_list() {
    let command = json!({"name": "doveadm", "subCommand": {"name": "backup", "flags": "-R",
        "options": [{"name": "-u", "value": "u"}, {"name": "-x", "value": "%{mdb:exclude}"}], "arguments": "imapc:"}});
    let command = Command::from_value(&command).unwrap();
    let argv = |inject: &[(&str, &str)]| {
        let inject = inject.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let properties = Properties { exclude: Some(vec!["Spam".into()]), inject, ..Properties::default() };
        let rendered = CommandTemplate::compile(&command).unwrap().template.render(&properties).unwrap();
        rendered.items().skip(5).map(|item| item.expose().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(argv(&[]), ["-x", "Spam", "imapc:"]);
    assert_eq!(argv(&[("exclude", "My Folder, old")]), ["-x", "My Folder, old", "imapc:"]);
    assert_eq!(argv(&[("exclude[0]", "A"), ("exclude[1]", "B")]), ["-x", "A", "-x", "B", "imapc:"]);
    assert_eq!(argv(&[("exclude", "")]), ["imapc:"]);
}
