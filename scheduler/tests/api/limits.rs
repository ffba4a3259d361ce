//! Limits of requests, seen by a client on a real connection.

use std::net::SocketAddr;

use reqwest::{Client, Response};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{ADMIN, Api, KEY, KEY_HEADER};

/// A server of this API, and its address, while `client` asks.
async fn serve(api: &Api, client: impl AsyncFnOnce(String)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let service = api.router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        ended = axum::serve(listener, service).into_future() => panic!("{ended:?}"),
        () = client(base) => {}
    }
}

fn assert_limited(answer: &Response) {
    assert_eq!(answer.status().as_u16(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_key_has_its_limit_and_the_admin_none() {
    // One request in so long a time that no test reaches the next one.
    let api = Api::start_with("dmf.http.rate-limit.requests-per-second: 1\n").await;
    api.furnish().await;
    serve(&api, async |base| {
        let client = Client::new();
        let users = format!("{base}/dmf/api/v2/users");
        let ask = async || client.get(&users).header(KEY_HEADER, KEY).send().await.unwrap();
        let mut limited = None;
        for _ in 0..200 {
            let answer = ask().await;
            if answer.status().as_u16() != 200 {
                limited = Some(answer);
                break;
            }
        }
        assert_limited(&limited.expect("no request was refused"));
        let source = format!("{base}/dmf/admin/api/v2/sources/CustomerX");
        for limit in [0, 10_000] {
            let change = client.put(&source).header("authorization", ADMIN);
            let changed = change.json(&json!({ "rateLimit": limit })).send().await.unwrap();
            assert_eq!(changed.status().as_u16(), 200);
            for _ in 0..20 {
                assert_eq!(ask().await.status().as_u16(), 200);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_guesses_is_not_heard_for_a_while_and_others_are() {
    let more = "dmf.http:\n  trusted-proxies: [127.0.0.1]\n  rate-limit.wrong-credentials-per-minute: 3\n";
    let api = Api::start_with(more).await;
    api.furnish().await;
    serve(&api, async |base| {
        let client = Client::new();
        let ask = async |from: &str, path: &str, name: &str, value: &str| {
            let call = client.get(format!("{base}{path}")).header("x-forwarded-for", from);
            call.header(name, value).send().await.unwrap()
        };
        let (sources, users) = ("/dmf/admin/api/v2/sources", "/dmf/api/v2/users");
        // No credentials are no guess.
        for _ in 0..10 {
            assert_eq!(ask("1.1.1.1", sources, "x-none", "").await.status().as_u16(), 401);
        }
        let mut statuses = Vec::new();
        for path in [sources, "/health", users, users] {
            statuses.push(ask("1.1.1.1", path, "authorization", "Basic eDp5").await.status().as_u16());
        }
        assert_eq!(statuses, [401, 200, 401, 429]);
        // A guess is not told from the password, wherever it is asked.
        for path in [sources, "/health", "/nothing"] {
            assert_limited(&ask("1.1.1.1", path, "authorization", ADMIN).await);
            assert_limited(&ask("1.1.1.1", path, "authorization", "Basic eDp5").await);
        }
        assert_limited(&ask("1.1.1.1", users, KEY_HEADER, "wrong").await);
        // Nobody guesses a key, and without credentials nothing is guessed.
        assert_eq!(ask("1.1.1.1", users, KEY_HEADER, KEY).await.status().as_u16(), 200);
        assert_eq!(ask("1.1.1.1", "/health", "x-none", "").await.status().as_u16(), 200);
        assert_eq!(ask("2.2.2.2", sources, "authorization", ADMIN).await.status().as_u16(), 200);
        let audit =
            client.post(format!("{base}/dmf/admin/api/v2/targets")).header("x-forwarded-for", "2.2.2.2");
        let audit = audit.header("authorization", ADMIN).json(&json!({ "name": "west" }));
        assert_eq!(audit.send().await.unwrap().status().as_u16(), 201);
        let noted =
            client.get(format!("{base}/dmf/admin/api/v2/audit?limit=1")).header("authorization", ADMIN);
        let noted: serde_json::Value = noted.send().await.unwrap().json().await.unwrap();
        assert_eq!(noted["entries"][0]["from"], "2.2.2.2");
    })
    .await;
}

#[tokio::test]
async fn one_wrong_client_behind_a_load_balancer_shuts_out_nobody() {
    let api = Api::start_with("dmf.http.rate-limit.wrong-credentials-per-minute: 1\n").await;
    api.furnish().await;
    serve(&api, async |base| {
        let client = Client::new();
        let ask = async |path: &str, name: &str, value: &str| {
            client.get(format!("{base}{path}")).header(name, value).send().await.unwrap().status().as_u16()
        };
        let (sources, users) = ("/dmf/admin/api/v2/sources", "/dmf/api/v2/users");
        assert_eq!(ask(sources, "authorization", ADMIN).await, 200);
        for _ in 0..5 {
            ask(sources, "authorization", "Basic eDp5").await;
        }
        assert_eq!(ask(sources, "authorization", "Basic eDp5").await, 429);
        assert_eq!(ask(sources, "authorization", ADMIN).await, 200);
        assert_eq!(ask(users, KEY_HEADER, KEY).await, 200);
    })
    .await;
}
