//! Another key in the place of the first, while users are submitted.

use std::{fs, sync::Mutex};

use dmf_scheduler::rotate::{self, Outcome};
use dmf_shared::crypto::{KeyFile, KeyRing, KeySpec};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{Api, first};

const USERS: u32 = 250;

/// Keys of these aliases; the first seals.
fn keys(api: &Api, aliases: &[&str]) -> KeyRing {
    let specs = aliases.iter().map(|alias| {
        let path = api.lab.dir().join(format!("{alias}.key"));
        let byte = if *alias == "first" { 7 } else { alias.len().try_into().unwrap() };
        fs::write(&path, [byte; 32]).unwrap();
        KeySpec {
            alias: (*alias).to_owned(),
            file: KeyFile::parse(path.to_str().unwrap()).unwrap(),
            secret: None,
        }
    });
    KeyRing::load(&specs.collect::<Vec<_>>()).unwrap()
}

async fn submit(api: &Api, number: u32) {
    let mut body = first(&format!("user{number}"));
    body["password"] = json!(format!("password {number}"));
    api.customer("POST", "/users/migrations", body).await.expect(201);
}

#[tokio::test]
async fn all_passwords_get_the_new_key_while_others_are_set() {
    let api = Api::start_with_storage_key().await;
    let source = api.furnish().await;
    for number in 0..USERS {
        submit(&api, number).await;
    }
    let both = keys(&api, &["second", "first"]);
    let told = Mutex::new(Vec::new());
    let run =
        async || rotate::rotate(&api.app.store, &both, |line| told.lock().unwrap().push(line)).await.unwrap();
    // Two at once, and a scheduler that still seals with the old key.
    let live = async {
        for number in 0..20 {
            let path = format!("/users/user{}", number * 12);
            let change = json!({ "password": format!("changed {number}") });
            api.customer("PUT", &path, change).await.expect(200);
        }
    };
    let (one, other, ()) = tokio::join!(run(), run(), live);
    assert_eq!((one.unopened, other.unopened), (0, 0));
    let last = run().await;
    assert!(last.is_complete(), "{last}");
    assert_eq!(run().await, Outcome::default());
    let new = keys(&api, &["second"]);
    for number in 0..USERS {
        let uid = format!("user{number}");
        let user = api.app.store.user(&source, &uid).await.unwrap().unwrap();
        let password = new.open(&user.password.unwrap(), source.id, &uid).unwrap();
        let changed = number % 12 == 0 && number / 12 < 20;
        let expected =
            if changed { format!("changed {}", number / 12) } else { format!("password {number}") };
        assert_eq!(password.expose_secret(), expected);
    }
    assert!(!told.lock().unwrap().iter().any(|line| line.contains("password 1") || line.contains("changed")));
}

#[tokio::test]
async fn what_does_not_open_is_named_and_stays() {
    let api = Api::start_with_storage_key().await;
    let source = api.furnish().await;
    submit(&api, 1).await;
    let other = keys(&api, &["third"]);
    let mut told = Vec::new();
    let outcome = rotate::rotate(&api.app.store, &other, |line| told.push(line)).await.unwrap();
    assert_eq!((outcome.unopened, outcome.is_complete()), (1, false));
    assert_eq!(told[0], "CustomerX/\"user1\": no key of the alias first is configured here");
    let user = api.app.store.user(&source, "user1").await.unwrap().unwrap();
    api.app.keys.open(&user.password.unwrap(), source.id, "user1").unwrap();
    let none = rotate::rotate(&api.app.store, &KeyRing::default(), |_| ()).await.unwrap_err();
    assert!(none.to_string().starts_with("no key is configured"));
}
