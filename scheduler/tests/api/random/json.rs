//! Random JSON.

use proptest::{collection::vec, prelude::*, strategy::BoxedStrategy};
use serde_json::{Map, Value};

/// JSON of every kind, small, with the texts that tend to hurt.
pub(super) fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9+-]{1,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})"
            .prop_map(Value::from),
        prop::sample::select(vec![
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+23:59",
            "-9999-01-01T00:00:00+12:00",
            "default",
            "imap.host.1",
            "ignore",
            "%{mdb:",
            "%{mdb:uid}%",
            "a=b",
            "CUTOVER",
            "starttls",
            "\u{feff}",
            "İ",
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "name",
        "value",
        "flags",
        "options",
        "arguments",
        "subCommand",
        "successCode",
    ]);
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let fields = vec((names.clone(), inner.clone()), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Value::from),
            fields.prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
    .boxed()
}

/// A body of which some fields are right and some are anything.
pub(super) fn body(right: &Value) -> BoxedStrategy<Value> {
    let right = right.as_object().unwrap().clone();
    let names: Vec<String> = right.keys().cloned().collect();
    vec((prop::sample::select(names), value()), 0..4)
        .prop_map(move |changes| {
            let mut body: Map<String, Value> = right.clone();
            body.extend(changes);
            Value::Object(body)
        })
        .boxed()
}
