use proptest::{collection::vec, option, prelude::*};
use serde_json::json;

use super::*;

const MANUAL: &str = r#"{"name":"doveadm","successCode":0,"flags":["-D"],
  "options":[{"name":"-o","value":"imapc_user=user1"},{"name":"-o","value":"imapc_password=secret"}],
  "subCommand":{"name":"backup","flags":["-R"],"options":[{"name":"-u","value":"user2"}],"arguments":["imapc:"]}}"#;

fn messages(value: &Value) -> Vec<String> {
    Command::from_value(value).unwrap_err().iter().map(Fault::to_string).collect()
}

#[test]
fn flattens_name_flags_options_arguments_and_then_the_sub_command() {
    let command: Command = serde_json::from_str(MANUAL).unwrap();
    let argv = command.argv().join(" ");
    assert_eq!(argv, "doveadm -D -o imapc_user=user1 -o imapc_password=secret backup -R -u user2 imapc:");
    assert!(!command.is_placeholder());
}

#[test]
fn takes_kebab_case_single_values_and_numbers() {
    let command = Command::from_value(&json!({
        "name": "doveadm", "flags": "-D", "options": {"name": "-o", "value": "imapc_user=user1"},
        "sub-command": {"name": "backup", "success-code": "2", "arguments": "imapc:",
            "options": [{"name": "-l", "value": 30}], "flags": null}
    }))
    .unwrap();
    assert_eq!(command.argv().join(" "), "doveadm -D -o imapc_user=user1 backup -l 30 imapc:");
    assert_eq!(command.effective_success_code(), 2);
}

#[test]
fn the_outermost_success_code_wins() {
    let inner = json!({"name": "b", "successCode": 7});
    let both = json!({"name": "a", "successCode": 3, "subCommand": inner});
    assert_eq!(Command::from_value(&both).unwrap().effective_success_code(), 3);
    assert_eq!(
        Command::from_value(&json!({"name": "a", "subCommand": inner})).unwrap().effective_success_code(),
        7
    );
    assert_eq!(Command::named("a").effective_success_code(), 0);
}

#[test]
fn a_bare_name_is_a_placeholder() {
    assert!(Command::from_value(&json!({"name": "ignore"})).unwrap().is_placeholder());
    assert!(
        Command::from_value(&json!({"name": "ignore", "flags": [], "options": null}))
            .unwrap()
            .is_placeholder()
    );
    assert!(!Command::from_value(&json!({"name": "true", "successCode": 0})).unwrap().is_placeholder());
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let faults = messages(&json!({
        "nam": "doveadm", "flags": [true], "success_code": 1.5, "hello": 1,
        "subCommand": {"name": "", "options": [{"name": "-u"}, "x", {"name": "-o", "value": "a\u{0}b", "valu": 1}]}
    }));
    assert_eq!(
        faults,
        [
            "nam: unknown field nam; did you mean name?",
            "hello: unknown field hello; there are: name, successCode, flags, options, arguments, subCommand",
            "name: is required",
            "successCode: must be a signed integer of 32 bits",
            "flags[0]: must be a text",
            "subCommand.name: must not be empty",
            "subCommand.options[0].value: is required",
            "subCommand.options[1]: must be an object with name and value",
            "subCommand.options[2].valu: unknown field valu; did you mean value?",
            "subCommand.options[2].value: must not hold a NUL character",
        ]
    );
}

#[test]
fn depth_and_size_are_bounded() {
    let mut nested = json!({"name": "leaf"});
    for _ in 0..50 {
        nested = json!({"name": "x", "subCommand": nested});
    }
    assert_eq!(messages(&nested).len(), 1);
    assert!(messages(&json!({"name": "a", "flags": vec!["-x"; MAX_ITEMS + 1]}))[0].contains("more than"));
    assert!(messages(&json!({"name": "a".repeat(MAX_TEXT_BYTES + 1)}))[0].contains("longer than"));
}

#[test]
fn passwords_are_not_shown() {
    let command: Command = serde_json::from_str(MANUAL).unwrap();
    assert!(!format!("{command:?}").contains("secret"));
    let named = Command::from_value(&json!({"name": "doveadm",
        "options": [{"name": "pop3c_master_password", "value": "secret"}], "arguments": ["imapc_password=secret"]}))
    .unwrap();
    assert!(!format!("{named:?} {:?}", named.options).contains("secret"));
    assert_eq!(
        named.without_passwords().argv().join(" "),
        "doveadm pop3c_master_password <hidden> imapc_password=<hidden>"
    );
    let other = json!({ "name": "tool", "options": [{ "name": "--password", "value": "%{conf:a}b" },
        { "name": "-o", "value": "imapc_password=%{conf:imapc_master_password}" }],
        "arguments": ["--DB-Passwd=secret"] });
    assert_eq!(
        Command::from_value(&other).unwrap().without_passwords().argv().join(" "),
        "tool --password <hidden> -o imapc_password=%{conf:imapc_master_password} --DB-Passwd=<hidden>"
    );
}

#[test]
fn a_fault_can_be_told_from_outside() {
    let fault = Fault::new("flags[0]", "must be a text").within("migrationCommand1");
    assert_eq!(fault.to_string(), "migrationCommand1.flags[0]: must be a text");
    assert_eq!(Fault::new("", "bad").within("x").to_string(), "x: bad");
}

fn any_text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

fn any_command() -> impl Strategy<Value = Command> {
    let level = (
        any_text().prop_filter("a name", |name| !name.is_empty()),
        option::of(any::<i32>()),
        vec(any_text(), 0..3),
        vec((any_text().prop_filter("a name", |name| !name.is_empty()), any_text()), 0..3),
        vec(any_text(), 0..3),
    );
    vec(level, 1..4).prop_map(|levels| {
        let mut sub = None;
        for (name, success_code, flags, options, arguments) in levels.into_iter().rev() {
            let options = options.into_iter().map(|(name, value)| CommandOption { name, value }).collect();
            let level = Command { name, success_code, flags, options, arguments, sub_command: sub };
            sub = Some(Box::new(level));
        }
        *sub.unwrap()
    })
}

proptest! {
    #[test]
    fn json_and_back_gives_the_same_argv(command in any_command()) {
        let text = serde_json::to_string(&command).unwrap();
        let back: Command = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back.argv(), command.argv());
        prop_assert_eq!(back.effective_success_code(), command.effective_success_code());
        prop_assert_eq!(back, command);
    }
}
