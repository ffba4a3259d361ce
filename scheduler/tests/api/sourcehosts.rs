//! Source hosts; their commands are checked when they are stored and not when they run.

use std::time::Duration;

use dmf_shared::store::Suspension;
use serde_json::{Value, json};

use crate::support::{Api, without_times};

const HOSTS: &str = "/sources/CustomerX/sourcehosts";

async fn api() -> Api {
    let api = Api::start().await;
    api.admin("POST", "/sources", json!({ "name": "CustomerX" })).await.expect(201);
    api
}

fn host(name: &str, command: &Value) -> Value {
    json!({ "name": name, "maxConnections": 3, "migrationCommand1": command })
}

/// `doveadm backup -R -u %{mdb:uid} imapc:` with these arguments instead of `imapc:`.
fn backup(arguments: &Value) -> Value {
    json!({
        "name": "doveadm",
        "options": [{ "name": "imapc_user", "value": "%{mdb:ruid}" }],
        "subCommand": {
            "name": "backup",
            "flags": "-R",
            "options": { "name": "-u", "value": "%{mdb:uid}" },
            "arguments": arguments,
        },
    })
}

#[tokio::test]
async fn they_are_created_listed_and_read() {
    let api = api().await;
    let full = json!({
        "name": "imap.b",
        "port": 993,
        "maxConnections": 3,
        "reservedForPriority": 1,
        "migrationCommand1": { "name": "ignore" },
        "migrationCommand2": { "name": "ignore" },
        "statusCommand": null,
    });
    let created = api.admin("POST", HOSTS, full).await.expect(201);
    let shown = json!({
        "name": "imap.b",
        "port": 993,
        "maxConnections": 3,
        "reservedForPriority": 1,
        "migrationCommand1": { "name": "ignore" },
        "migrationCommand2": { "name": "ignore" },
        "paused": false,
        "connectionsInUse": 0,
        "queued": 0,
    });
    assert_eq!(created, shown);
    let small = api.admin("POST", HOSTS, host("imap.a", &json!({ "name": "ignore" }))).await.expect(201);
    assert_eq!(api.admin("GET", HOSTS, Value::Null).await.expect(200), json!([small, shown]));
    assert_eq!(api.admin("GET", &format!("{HOSTS}/imap.b"), Value::Null).await.expect(200), shown);
    let again = api.admin("POST", HOSTS, host("IMAP.B", &json!({ "name": "ignore" }))).await;
    assert_eq!(again.errors(409), ["name: this Source has a source host of this name"]);

    assert_eq!(
        api.admin("GET", &format!("{HOSTS}/none"), Value::Null).await.errors(404),
        ["Source host not found"]
    );
    for (method, body) in [("GET", Value::Null), ("POST", host("x", &json!({ "name": "ignore" })))] {
        let answer = api.admin(method, "/sources/None/sourcehosts", body).await;
        assert_eq!(answer.errors(404), ["Source not found"]);
    }
}

#[tokio::test]
async fn one_value_may_stand_for_a_list() {
    let api = api().await;
    let scalars = api.admin("POST", HOSTS, host("one", &backup(&json!("imapc:")))).await.expect(201);
    let sub = &scalars["migrationCommand1"]["subCommand"];
    assert_eq!(sub["flags"], json!(["-R"]));
    assert_eq!(sub["options"], json!([{ "name": "-u", "value": "%{mdb:uid}" }]));
    let lists = api.admin("POST", HOSTS, host("two", &backup(&json!(["imapc:"])))).await.expect(201);
    assert_eq!(lists["migrationCommand1"], scalars["migrationCommand1"]);
}

#[tokio::test]
async fn commands_that_can_not_work_are_refused_with_the_place() {
    let api = api().await;
    let cases = [
        (backup(&json!(["imapc:", "-x", "Trash"])), "migrationCommand1.subCommand.arguments[1]: "),
        (backup(&json!(["imapc:%{mdb:nope}"])), "migrationCommand1.subCommand.arguments[0]: "),
        (backup(&json!(["ssh"])), "migrationCommand1.subCommand.arguments[0]: "),
        (
            json!({ "name": "doveadm", "subCommand": { "name": "expunge" } }),
            "migrationCommand1.subCommand.name: ",
        ),
        (
            json!({ "name": "doveadm", "flag": "-R" }),
            "migrationCommand1.flag: unknown field flag; did you mean flags?",
        ),
        (json!({ "name": "doveadm", "successCode": "much" }), "migrationCommand1.successCode: "),
        (json!({ "name": "a\0b" }), "migrationCommand1.name: must not hold a NUL character"),
        (json!({}), "migrationCommand1.name: is required"),
        (json!("ignore"), "migrationCommand1: must be an object with a name"),
    ];
    for (command, expected) in cases {
        let errors = api.admin("POST", HOSTS, host("imap", &command)).await.errors(400);
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{command}: {errors:#?}");
        assert!(!errors.iter().any(|error| error == "migrationCommand1: is required"), "{errors:#?}");
    }
    assert_eq!(api.admin("GET", HOSTS, Value::Null).await.expect(200), json!([]));
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let api = api().await;
    let wrong = json!({
        "name": "",
        "port": 0,
        "maxConnections": 1.5,
        "reservedForPriority": -1,
        "migrationCommand2": { "name": "doveadm", "subCommand": { "nam": "backup" } },
        "statusCommand": 7,
        "maxConections": 3,
    });
    assert_eq!(
        api.admin("POST", HOSTS, wrong).await.errors(400),
        [
            "name: must be a text of 1 to 255 bytes, without slashes, control characters, spaces at its ends and \
             a hyphen at its beginning",
            "maxConnections: must be a whole number from 1 to 100000",
            "reservedForPriority: must be a whole number from 0 to 100000",
            "port: must be a port from 1 to 65535",
            "migrationCommand1: is required",
            "migrationCommand2.subCommand.nam: unknown field nam; did you mean name?",
            "migrationCommand2.subCommand.name: is required",
            "statusCommand: must be an object with a name",
            "maxConections: unknown field, did you mean maxConnections?",
        ]
    );
    let reserved = json!({
        "name": "imap",
        "maxConnections": 2,
        "reservedForPriority": 2,
        "migrationCommand1": { "name": "ignore" },
    });
    assert_eq!(
        api.admin("POST", HOSTS, reserved).await.errors(400),
        ["reservedForPriority: must be less than maxConnections"]
    );
}

#[tokio::test]
async fn the_same_server_under_two_sources_is_warned_about() {
    let api = api().await;
    let ignore = json!({ "name": "ignore" });
    let first = api.admin("POST", HOSTS, host("imap", &ignore)).await.expect(201);
    assert_eq!(first.get("warnings"), None);
    api.admin("POST", "/sources", json!({ "name": "CustomerY" })).await.expect(201);
    let second = api.admin("POST", "/sources/CustomerY/sourcehosts", host("IMAP", &ignore)).await.expect(201);
    let warning = "name: CustomerX has a source host of this name, too; their limits are counted apart";
    assert_eq!(second["warnings"], json!([warning]));
}

#[tokio::test]
async fn they_show_how_many_migrations_wait() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("a").await;
    api.submit("b").await;
    let shown = async || api.admin("GET", &format!("{HOSTS}/imap.host.1"), Value::Null).await.expect(200);
    assert_eq!((&shown().await["queued"], &shown().await["connectionsInUse"]), (&json!(2), &json!(0)));
    api.claim(&source, &record).await;
    assert_eq!((&shown().await["queued"], &shown().await["connectionsInUse"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn they_show_why_and_until_when_they_are_suspended() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let path = format!("{HOSTS}/imap.host.1");
    let shown = async || api.admin("GET", &path, Value::Null).await.expect(200);
    assert_eq!(shown().await.get("suspended"), None);
    let host = api.app.store.places_by_name(source.id, None, Some("imap.host.1")).await.unwrap().1.unwrap();
    let suspend = async |secs, reason: &str| {
        let suspension = Suspension { lasts: Duration::from_secs(secs), reason: reason.to_owned() };
        api.app.store.suspend_sourcehost(host, &suspension).await.unwrap();
    };
    // One that is over is none.
    suspend(0, "unreachable").await;
    assert_eq!(shown().await.get("suspended"), None);
    suspend(3600, "3 users in a row could not log in").await;
    let suspended = without_times(shown().await["suspended"].clone());
    assert_eq!(suspended, json!({ "reason": "3 users in a row could not log in", "until": "time" }));
    let listed = api.admin("GET", HOSTS, Value::Null).await.expect(200);
    assert_eq!(listed[0]["suspended"], shown().await["suspended"]);
    let resumed = api.admin("PUT", &format!("{path}/resume"), Value::Null).await.expect(200);
    assert_eq!(resumed.get("suspended"), None);
}

#[tokio::test]
async fn passwords_in_commands_are_not_shown_and_never_become_the_text_that_hides_them() {
    let api = api().await;
    let command = json!({
        "name": "doveadm",
        "options": [{ "name": "imapc_password", "value": "hunter2" }, { "name": "-o", "value": "imapc_master_password=hunter2" }],
        "subCommand": { "name": "backup", "flags": "-R", "options": { "name": "-u", "value": "%{mdb:uid}" }, "arguments": "imapc:" },
    });
    let created = api.admin("POST", HOSTS, host("imap", &command)).await;
    let shown = created.expect(201);
    let path = format!("{HOSTS}/imap");
    let answers = [
        created,
        api.admin("GET", HOSTS, Value::Null).await,
        api.admin("GET", &path, Value::Null).await,
        api.admin("PUT", &path, json!({ "maxConnections": 4 })).await,
        api.admin("PUT", &format!("{path}/pause"), Value::Null).await,
    ];
    for answer in answers {
        assert!(!answer.text.contains("hunter2") && answer.text.contains("<hidden>"), "{answer:?}");
    }
    let back = json!({ "migrationCommand1": shown["migrationCommand1"] });
    let wrong = "<hidden> stands for a password that is not shown; give the password itself";
    assert_eq!(
        api.admin("PUT", &path, back).await.errors(400),
        [0, 1].map(|index| format!("migrationCommand1.options[{index}].value: {wrong}"))
    );
}

#[tokio::test]
async fn an_empty_command_is_none_and_a_doubtful_one_is_warned_about() {
    let api = api().await;
    let mut body = host("imap", &json!({ "name": "ignore" }));
    body["migrationCommand2"] = json!({});
    body["statusCommand"] = json!("");
    let created = api.admin("POST", HOSTS, body).await.expect(201);
    assert_eq!((created.get("migrationCommand2"), created.get("statusCommand")), (None, None));
    assert_eq!(
        api.admin("POST", HOSTS, host("other", &json!({}))).await.errors(400),
        ["migrationCommand1.name: is required"]
    );
    let path = format!("{HOSTS}/imap");
    api.admin("PUT", &path, json!({ "statusCommand": { "name": "ignore" } })).await.expect(200);
    let cleared = api.admin("PUT", &path, json!({ "statusCommand": {} })).await.expect(200);
    assert_eq!(cleared.get("statusCommand"), None);

    let mut doubtful = backup(&json!("imapc:"));
    doubtful["subCommand"]["options"]["value"] = json!("{%mdb:uid}");
    let expected = "migrationCommand1.subCommand.options[0].value: {% is read as %{";
    let answers = [
        api.admin("PUT", &path, json!({ "migrationCommand1": doubtful })).await.expect(200),
        api.admin("POST", HOSTS, host("third", &doubtful)).await.expect(201),
    ];
    for answer in answers {
        assert!(answer["warnings"][0].as_str().unwrap().starts_with(expected), "{answer}");
    }
}
