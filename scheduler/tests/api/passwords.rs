//! Users' passwords: sealed before they are stored, and never shown.

use std::{fs, path::Path};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Api, first};

const PASSWORD: &str = "correct horse battery staple";

fn with_password(uid: &str) -> Value {
    let mut body = first(uid);
    body["password"] = json!(PASSWORD);
    body
}

#[tokio::test]
async fn without_a_key_a_password_is_refused() {
    let api = Api::start().await;
    api.furnish().await;
    let answer = api.customer("POST", "/users/migrations", with_password("alice")).await;
    assert_eq!(answer.errors(400), ["password: can't be stored: dmf.crypto.storage-key is not configured"]);
    assert!(!answer.text.contains(PASSWORD));
    api.customer("GET", "/users/alice/migrations", Value::Null).await.errors(404);
}

#[tokio::test]
async fn with_a_key_it_is_sealed_and_never_shown() {
    let api = Api::start_with_storage_key().await;
    let source = api.furnish().await;
    let mut answers =
        vec![api.customer("POST", "/users/migrations", with_password("alice-with-a-long-name")).await];
    answers[0].expect(201);
    for path in ["", "/latest", "/1"] {
        let path = format!("/users/alice-with-a-long-name/migrations{path}");
        answers.push(api.customer("GET", &path, Value::Null).await);
    }
    answers.push(api.customer("POST", "/users/migrations", with_password("alice-with-a-long-name")).await);
    answers[4].errors(409);
    for answer in &answers {
        assert!(!answer.text.contains(PASSWORD) && !answer.text.contains("assword"), "{answer:?}");
    }

    let user = api.app.store.user(&source, "alice-with-a-long-name").await.unwrap().unwrap();
    let sealed = user.password.unwrap();
    assert_eq!(sealed.alias, "first");
    let opened = api.app.keys.open(&sealed, source.id, "alice-with-a-long-name").unwrap();
    assert_eq!(opened.expose_secret(), PASSWORD);

    // What MariaDB has written, its log included: the uid can be read there, the password can't.
    api.lab.mariadb().stop().await.unwrap();
    assert!(holds(api.lab.dir(), b"alice-with-a-long-name"));
    assert!(!holds(api.lab.dir(), PASSWORD.as_bytes()));
}

#[tokio::test]
async fn null_takes_it_away() {
    let api = Api::start_with_storage_key().await;
    let source = api.furnish().await;
    api.customer("POST", "/users/migrations", with_password("alice")).await.expect(201);
    api.customer("PUT", "/users/alice/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    let without = json!({ "sourceUid": "alice", "phase": "PRE_SYNC", "password": null });
    api.customer("POST", "/users/migrations", without).await.expect(201);
    assert!(api.app.store.user(&source, "alice").await.unwrap().unwrap().password.is_none());
}

/// Whether any file below holds these bytes.
fn holds(dir: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => holds(&entry.path(), wanted),
            kind if kind.is_file() => {
                fs::read(entry.path()).unwrap().windows(wanted.len()).any(|found| found == wanted)
            }
            _ => false,
        }
    })
}

#[tokio::test]
async fn options_of_a_user_hold_no_password_and_nothing_that_reaches_beyond_mail() {
    let api = Api::start().await;
    api.furnish().await;
    let mut body = first("alice");
    body["imapcOptions"] = json!(["imapc_password=hunter2", "mail_plugin_dir=/tmp", "imapc_features=x"]);
    let answer = api.customer("POST", "/users/migrations", body).await;
    assert_eq!(
        answer.errors(400),
        [
            "imapcOptions: must not hold imapc_password, the field password is for that",
            "imapcOptions: the setting mail_plugin_dir may not come from outside",
        ]
    );
}
