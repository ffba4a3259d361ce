//! MariaDB away: an answer all the same, and no restart needed when it is back.

use axum::http::header;
use dmf_lab::poll_until;
use dmf_scheduler::schema::Schema;
use serde_json::{Value, json};

use crate::support::{Answer, Api, KEY_HEADER, PATIENCE, first, request, with_json};

const AWAY: &str = "The database is not available, try again later";

fn assert_away(answer: &Answer) {
    assert_eq!(answer.errors(503), [AWAY]);
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
}

/// Asks every kind of route while the database is away, then waits until it serves again.
async fn assert_all_away(api: &Api) {
    let anonymous = request("GET", "/dmf/api/v2/nothing").header(KEY_HEADER, "x");
    let answers = tokio::join!(
        api.admin("GET", "/sources", Value::Null),
        api.admin("POST", "/targets", json!({ "name": "west" })),
        api.customer("POST", "/users/migrations", first("bob")),
        api.customer("GET", "/users/alice/migrations/latest", Value::Null),
        api.send(with_json(anonymous, &Value::Null)),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4] {
        assert_away(&answer);
    }
    // What needs no database is answered.
    api.admin("GET", "/nothing", Value::Null).await.errors(404);
    api.send(with_json(request("GET", "/dmf/admin/api/v2/sources"), &Value::Null)).await.errors(401);
}

async fn wait_until_back(api: &Api) {
    let look = async || {
        let answer = api.customer("POST", "/users/migrations", first("bob")).await;
        if answer.status.as_u16() == 201 { Ok(()) } else { Err(answer.text) }
    };
    poll_until("the API did not serve again", PATIENCE, look).await.unwrap();
}

#[tokio::test]
async fn a_dead_database_is_told_soon_whatever_the_pool_waits() {
    // Hikari's default of 30 s, longer than any client waits.
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    api.lab.mariadb().kill().await.unwrap();
    assert_all_away(&api).await;
    api.lab.mariadb().start().await.unwrap();
    wait_until_back(&api).await;
}

#[tokio::test]
async fn so_is_one_that_hangs() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    api.lab.mariadb().pause();
    assert_all_away(&api).await;
    api.lab.mariadb().resume();
    wait_until_back(&api).await;
}

#[tokio::test]
async fn nothing_is_served_before_the_schema_is_there_but_credentials_are_asked_for() {
    let mut api = Api::start().await;
    api.furnish().await;
    api.app.schema = Schema::default();
    let router = dmf_scheduler::app::router(api.app.clone());
    let api = api.with_router(router);
    assert_away(&api.admin("GET", "/sources", Value::Null).await);
    assert_away(&api.customer("POST", "/users/migrations", first("bob")).await);
    api.send(with_json(request("GET", "/dmf/admin/api/v2/sources"), &Value::Null)).await.errors(401);
}
