//! What the census shows of the stores.

use std::collections::BTreeMap;

use dmf_scheduler::{census::Census, relay};
use dmf_shared::ops::{
    Metrics,
    metrics::{Measure, Series},
};

use crate::support::{Stage, add_host};

/// The values of a gauge by its labels, those in the order of their names.
fn values(metrics: &Metrics, name: &str) -> BTreeMap<String, f64> {
    let show = |series: Series| {
        let labels: Vec<String> = series.labels.into_values().collect();
        let Measure::Value(value) = series.measure else { panic!("{name} is no gauge") };
        (labels.join(" "), value)
    };
    let mut families = metrics.families();
    families.remove(name).into_iter().flat_map(|family| family.series).map(show).collect()
}

#[tokio::test]
async fn it_shows_what_waits_and_runs_and_nothing_that_is_gone() {
    let stage = Stage::built().await;
    let metrics = Metrics::install().unwrap();
    let mut census = Census::new(metrics.clone());
    let other = stage.store.create_source(&"Other".parse().unwrap(), [8; 32]).await.unwrap();
    let others = add_host(&stage.store, &other).await;
    let job = stage.submit("u1").await;
    stage.submit("u2").await;
    stage.try_submit("u3", true).await.unwrap();
    let mut database = stage.database().await;
    let late = "UPDATE journalCustomerX SET created = created - INTERVAL 1 HOUR WHERE id = 2";
    sqlx::raw_sql(late).execute(&mut database).await.unwrap();
    stage.claim(job).await;
    relay::relay_all(&stage.store, &stage.queue).await.unwrap();
    let suspend =
        "UPDATE sourcehosts SET suspended_until = UTC_TIMESTAMP(3) + INTERVAL 1 HOUR WHERE source_id = 2";
    sqlx::raw_sql(suspend).execute(&mut database).await.unwrap();

    census.take(&stage.store, &stage.queue).await.unwrap();
    let depth = values(&metrics, "dmf.queue.depth");
    assert_eq!(
        depth.iter().map(|(labels, jobs)| (labels.as_str(), *jobs)).collect::<Vec<_>>(),
        [("delayed default", 0.0), ("normal default", 1.0), ("priority default", 1.0)]
    );
    let oldest = values(&metrics, "dmf.queue.oldest.age")["default"];
    assert!((3_600.0..3_700.0).contains(&oldest), "{oldest}");
    let hosts = |name| values(&metrics, name).into_iter().collect::<Vec<_>>();
    let pair = |mine: f64, others: f64| {
        vec![("imap.one CustomerX".to_owned(), mine), ("imap.one Other".to_owned(), others)]
    };
    assert_eq!(hosts("dmf.hosts.limit"), pair(500.0, 500.0));
    assert_eq!(hosts("dmf.hosts.running"), pair(1.0, 0.0));
    assert_eq!(hosts("dmf.hosts.suspended"), pair(0.0, 1.0));
    assert!(values(&metrics, "hikaricp.connections.max")[""] >= 1.0);

    assert!(stage.store.delete_sourcehost(&other, others).await.unwrap());
    census.take(&stage.store, &stage.queue).await.unwrap();
    assert_eq!(hosts("dmf.hosts.suspended"), pair(0.0, 1.0)[..1]);
}
