//! Random paths.

use axum::{body::Body, http::Request};
use dmf_scheduler::api::routes::routes;
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde_json::json;

use super::{assert_sound, samples, with_all_credentials};
use crate::support::Api;

#[tokio::test]
async fn random_paths_are_refused() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let segment = prop_oneof![
        "[ -~]{0,8}".prop_map(String::from),
        "(%[0-9A-Fa-f]{2}){1,6}".prop_map(String::from),
        prop::sample::select(vec![
            "users",
            "migrations",
            "latest",
            "close",
            "as",
            "ABORTED",
            "sources",
            "CustomerX",
            "sourcehosts",
            "imap.host.1",
            "targets",
            "default",
            "backends",
            "alice",
            "1",
            "..",
            ".",
            "%2e%2e",
            "%00",
        ])
        .prop_map(String::from),
    ];
    let prefix = prop::sample::select(vec![
        "/dmf/api/v2/users",
        "/dmf/api/v2",
        "/dmf/admin/api/v2",
        "/loggers",
        "/metrics",
        "",
    ]);
    let method = prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]);
    for (method, prefix, segments) in samples(400, &(method, prefix, vec(segment, 0..7))) {
        let path = format!("{prefix}/{}", segments.join("/"));
        let Ok(call) = Request::builder().method(method).uri(&path).body(Body::from("{}")) else { continue };
        let answer = api.send(with_all_credentials(call)).await;
        if method == "HEAD" {
            assert!(answer.status.as_u16() < 500, "{path}: {answer:?}");
        } else {
            assert_sound(&answer, &path);
        }
    }
}

/// A segment as clients write it, right or wrong.
fn segment() -> BoxedStrategy<String> {
    prop_oneof![
        3 => any::<String>().prop_map(|text| dmf_scheduler::api::path::encode(&text)),
        2 => vec(any::<u8>(), 1..40)
            .prop_map(|bytes| bytes.into_iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()),
        2 => "[!-~]{1,20}",
        1 => "a{250,300}",
        1 => prop::sample::select(vec![
            "", ".", "..", "%2e", "%2E%2e", "%2f", "a%2Fb", "%", "%zz", "%00", "-1", "0", "99999999999999999999",
            "alice", "CustomerX", "customerx", "imap.host.1", "default", "worker-1", "ABORTED", "aborted",
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

#[tokio::test]
async fn random_names_in_paths_are_found_or_refused() {
    let api = Api::start().await;
    api.furnish().await;
    api.register_worker().await;
    api.submit("alice").await;
    let mut answered = 0;
    for route in routes().into_iter().filter(|route| route.path.contains('{')) {
        let varying = route.path.matches('{').count();
        for names in samples(30, &vec(segment(), varying)) {
            let mut names = names.iter();
            let fill = |part: &str| {
                if part.starts_with('{') { names.next().unwrap().clone() } else { part.to_owned() }
            };
            let path = route.path.split('/').map(fill).collect::<Vec<_>>().join("/");
            let call = Request::builder().method(&route.method).uri(&path).body(Body::from("{}"));
            let Ok(call) = call else { continue };
            assert_sound(&api.send(with_all_credentials(call)).await, &(&route.method, &path));
            answered += 1;
        }
    }
    assert!(answered > 500, "{answered}");
    // Nothing was harmed that has to be there.
    api.customer("GET", "/users/alice", json!(null)).await.expect(200);
}
