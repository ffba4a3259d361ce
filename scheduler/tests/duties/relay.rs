//! What a deletion leaves in the queue.

use std::time::Duration;

use dmf_scheduler::relay;
use dmf_shared::store::Deletion;

use crate::support::{Stage, add_host};

#[tokio::test]
async fn source_hosts_that_are_deleted_are_forgotten() {
    let stage = Stage::built().await;
    let other = stage.store.create_source(&"Other".parse().unwrap(), [8; 32]).await.unwrap();
    let others = add_host(&stage.store, &other).await;
    assert!(stage.store.outbox_age().await.unwrap() < Duration::from_mins(1));
    relay::relay_all(&stage.store, &stage.queue).await.unwrap();
    assert_eq!(stage.store.outbox_age().await.unwrap(), Duration::ZERO);
    let known = async || {
        let mut known = stage.queue.known_hosts().await.unwrap();
        known.sort_unstable();
        known
    };
    assert_eq!(known().await, [stage.host, others]);
    assert!(stage.store.delete_sourcehost(&stage.source, stage.host).await.unwrap());
    assert!(!stage.store.delete_sourcehost(&stage.source, stage.host).await.unwrap(), "it is gone");
    relay::relay_all(&stage.store, &stage.queue).await.unwrap();
    assert_eq!(known().await, [others]);
    assert_eq!(stage.store.delete_source(&other).await.unwrap(), Deletion::Done);
    relay::relay_all(&stage.store, &stage.queue).await.unwrap();
    assert!(known().await.is_empty());
}
