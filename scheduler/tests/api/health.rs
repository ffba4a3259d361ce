//! `/health`: the state for everybody, the reasons for the admin.

use dmf_lab::poll_until;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Api, PATIENCE, request, with_json};

async fn health(api: &Api, credentials: Option<&str>) -> Answer {
    let call = request("GET", "/health");
    let call = credentials.into_iter().fold(call, |call, value| call.header("Authorization", value));
    api.send(with_json(call, &Value::Null)).await
}

/// Asks as the admin until this indicator has this state; an answer of the last moments may come again.
async fn wait_for(api: &Api, indicator: &str, status: &str) -> Answer {
    let what = format!("{indicator} did not become {status}");
    let look = async || {
        let answer = health(api, Some(ADMIN)).await;
        if answer.json()["details"][indicator]["status"] == status { Ok(answer) } else { Err(answer.text) }
    };
    poll_until(&what, PATIENCE, look).await.unwrap()
}

#[tokio::test]
async fn everybody_hears_the_state_and_the_admin_all() {
    let api = Api::start().await;
    for credentials in [None, Some("Basic eDp5")] {
        assert_eq!(health(&api, credentials).await.expect(200), json!({ "status": "UP" }));
    }
    let answer = health(&api, Some(ADMIN)).await;
    let tree = answer.expect(200);
    assert_eq!((&tree["name"], &tree["status"]), (&json!("api"), &json!("UP")));
    let details = tree["details"].as_object().unwrap();
    let names: Vec<_> = details.keys().map(String::as_str).collect();
    assert_eq!(names, ["jdbc", "redis", "compositeDiscoveryClient()", "service", "diskSpace"]);
    let jdbc = details["jdbc"]["details"].as_object().unwrap();
    let database = jdbc.values().next().unwrap();
    assert_eq!(database["details"]["database"], "MariaDB");
    for secret in [api.lab.mariadb().password(), "password"] {
        assert!(!answer.text.contains(secret), "{answer:?}");
    }
}

#[tokio::test]
async fn it_is_down_while_redis_is_away() {
    let api = Api::start().await;
    wait_for(&api, "redis", "UP").await;
    api.lab.redis().kill().await.unwrap();
    let answer = wait_for(&api, "redis", "DOWN").await;
    assert_eq!(answer.expect(503)["details"]["jdbc"]["status"], "UP");
    assert_eq!(health(&api, None).await.expect(503), json!({ "status": "DOWN" }));
    api.lab.redis().start().await.unwrap();
    wait_for(&api, "redis", "UP").await.expect(200);
}

#[tokio::test]
async fn it_is_down_while_mariadb_is_away() {
    let api = Api::start().await;
    wait_for(&api, "jdbc", "UP").await;
    api.lab.mariadb().kill().await.unwrap();
    let answer = wait_for(&api, "jdbc", "DOWN").await;
    assert_eq!(answer.expect(503)["details"]["redis"]["status"], "UP");
    assert_eq!(health(&api, None).await.expect(503), json!({ "status": "DOWN" }));
    api.lab.mariadb().start().await.unwrap();
    wait_for(&api, "jdbc", "UP").await.expect(200);
}
