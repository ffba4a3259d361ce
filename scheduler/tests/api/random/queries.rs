//! Random queries.

use axum::{body::Body, http::Request};
use dmf_scheduler::api::{fields::Fields, path::encode, routes::routes};
use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde_json::Map;

use super::{assert_sound, samples, with_all_credentials};
use crate::support::Api;

/// A value as clients write it, right or wrong.
fn value() -> BoxedStrategy<String> {
    prop_oneof![
        3 => any::<String>().prop_map(|text| encode(&text)),
        2 => "[!-~]{0,12}",
        1 => "[0-9]{1,25}",
        4 => prop::sample::select(vec![
            "", "1", "0", "1000", "1001", "-1", "true", "false", "TRUE", "SUCCESS", "FAILED,SYNC", ",", "PRE_SYNC",
            "imap.host.1", "default", "default/worker-1", "a:b", "2024-05-01T22:00:00Z", "2024-05-01",
            "2024-05-01T22:00:00+02:00", "9999-12-31T23:59:59-23:59", "%ff", "%", "%00", "0%2C5",
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

#[tokio::test]
async fn random_queries_are_taken_or_refused() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let mut routes_seen = 0;
    for route in routes() {
        let Some(read) = route.doc.query else { continue };
        routes_seen += 1;
        let mut fields = Fields::new(Map::new());
        read(&mut fields);
        let names: Vec<String> = fields.into_properties().iter().map(|known| known.name.to_owned()).collect();
        let name = prop_oneof![8 => prop::sample::select(names), 1 => "[!-~]{0,8}"];
        let pair = (name, prop::option::weighted(0.95, value()));
        let path = route.path.replace("{source}", "Other").replace("{metric}", "process.uptime");
        for pairs in samples(80, &vec(pair, 0..5)) {
            let pairs = pairs.into_iter().map(|(name, value)| match value {
                Some(value) => format!("{name}={value}"),
                None => name,
            });
            let uri = format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"));
            let Ok(call) = Request::builder().method(&route.method).uri(&uri).body(Body::empty()) else {
                continue;
            };
            assert_sound(&api.send(with_all_credentials(call)).await, &uri);
        }
    }
    assert!(routes_seen >= 5, "{routes_seen}");
}
