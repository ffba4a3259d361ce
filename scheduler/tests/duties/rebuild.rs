//! A rebuild that breaks off.

use dmf_lab::poll_until;
use dmf_scheduler::rebuild;

use crate::support::{PATIENCE, Stage};

#[tokio::test]
async fn a_rebuild_that_broke_off_is_begun_anew_at_once() {
    let stage = Stage::start().await;
    let job = stage.submit("alice").await;
    // The rebuild comes to the rows and waits for their table; there MariaDB dies.
    let mut locker = stage.database().await;
    sqlx::raw_sql("LOCK TABLES journalCustomerX WRITE").execute(&mut locker).await.unwrap();
    let kill_in_the_middle = async {
        poll_until("the rebuild waits for the rows", PATIENCE, async || {
            let waiting =
                "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%'";
            let mut watcher = stage.database().await;
            match sqlx::raw_sql(waiting).fetch_optional(&mut watcher).await {
                Ok(Some(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap();
        stage.lab.mariadb().kill().await.unwrap();
    };
    let (broken_off, ()) = tokio::join!(rebuild::run(&stage.store, &stage.queue), kill_in_the_middle);
    broken_off.unwrap_err();
    assert!(!stage.queue.is_built().await.unwrap());
    stage.lab.mariadb().start().await.unwrap();
    let rebuilt = poll_until("the connections are made anew", PATIENCE, async || {
        rebuild::run(&stage.store, &stage.queue).await
    });
    assert!(rebuilt.await.unwrap(), "nobody else holds the right to rebuild");
    let proposed: Vec<_> = stage.propose().await.iter().map(|proposal| proposal.job).collect();
    assert_eq!(proposed, [job]);
}
