//! What the queue is told.

use std::collections::BTreeSet;

use dmf_shared::{domain::ids::JournalId, store::HostRow};

use crate::{lab, submit, support::scene};

#[tokio::test]
async fn the_outbox_names_each_change_once_and_survives_a_relay_that_dies() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let job = submit(&scene, "alice").await;
    let batch = scene.store.next_outbox_batch(100).await.unwrap();
    assert_eq!(batch.hosts, [HostRow { host: scene.host, limit: 2, reserved_for_priority: 0 }]);
    assert_eq!(batch.jobs.iter().map(|row| row.job).collect::<Vec<_>>(), [job]);
    // What one relay holds no other sees; when it dies, the next one does.
    assert!(scene.store.next_outbox_batch(100).await.unwrap().is_empty());
    drop(batch);
    let seen = dmf_lab::poll_until("the entries are free again", crate::support::PATIENCE, async || {
        let batch = scene.store.next_outbox_batch(100).await.map_err(|error| error.to_string())?;
        if batch.len() == 2 { Ok(batch) } else { Err(format!("{} entries", batch.len())) }
    });
    seen.await.unwrap().done().await.unwrap();
    assert!(scene.store.next_outbox_batch(100).await.unwrap().is_empty());
}

#[tokio::test]
async fn pages_of_waiting_migrations_hold_each_once() {
    let lab = lab().await;
    let scene = scene(&lab, 2).await;
    let mut expected = BTreeSet::new();
    for n in 0..7 {
        expected.insert(submit(&scene, &format!("user{n}")).await);
    }
    let mut seen = BTreeSet::new();
    let mut after = JournalId(0);
    loop {
        let page = scene.store.waiting_jobs(&scene.source, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.job.journal;
        for row in page {
            assert!(seen.insert(row.job));
        }
    }
    assert_eq!(seen, expected);
}
