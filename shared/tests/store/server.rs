//! The schema, the tables of Sources, and connections that break.

use dmf_shared::{domain::ids::Epoch, store::Finished};
use sqlx::{Connection as _, MySqlConnection, Row as _};

use crate::{
    claim, lab, submit, success,
    support::{options, options_by, scene},
};

#[tokio::test]
async fn a_migration_that_was_cut_off_is_run_again() {
    let lab = lab().await;
    let store = crate::support::store(&lab).await;
    let mut connection = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    // What a run leaves behind whose connection is lost after its first tables.
    for statement in
        ["UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1", "DROP TABLE host_troubles, outbox"]
    {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    store.migrate().await.unwrap();
    let unfinished = "SELECT version FROM _sqlx_migrations WHERE NOT success";
    assert!(sqlx::raw_sql(unfinished).fetch_all(&mut connection).await.unwrap().is_empty());
    sqlx::raw_sql("SELECT 1 FROM host_troubles, outbox").fetch_all(&mut connection).await.unwrap();
}

#[tokio::test]
async fn schedulers_that_start_together_make_one_schema() {
    let lab = lab().await;
    let options = options(&lab, 4);
    let start = async || {
        dmf_shared::store::Store::create_database(&options).await.unwrap();
        let store = dmf_shared::store::Store::connect_lazily(&options);
        store.migrate().await.unwrap();
        store
    };
    let (a, b, c) = tokio::join!(start(), start(), start());
    a.create_source(&"One".parse().unwrap(), [1; 32]).await.unwrap();
    assert!(
        b.create_source(&"ONE".parse().unwrap(), [2; 32]).await.unwrap_err().is_conflict_on("sources_name")
    );
    assert!(
        c.create_source(&"Two".parse().unwrap(), [1; 32])
            .await
            .unwrap_err()
            .is_conflict_on("sources_api_key_hash")
    );
    c.migrate().await.unwrap();
    assert_eq!(b.source_by_api_key([1; 32]).await.unwrap().unwrap().name.as_str(), "One");
}

#[tokio::test]
async fn a_source_that_is_there_has_its_tables_however_often_its_creation_was_cut_off() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let name: dmf_shared::domain::ids::SourceName = "Cut".parse().unwrap();
    for micros in (0..6_000).step_by(200) {
        let created = scene.store.create_source(&name, [9; 32]);
        let cut = tokio::time::timeout(std::time::Duration::from_micros(micros), created).await;
        for source in scene.store.sources().await.unwrap() {
            scene.store.source_view(source).await.unwrap();
        }
        if let Ok(Ok(_)) = cut {
            break;
        }
    }
    match scene.store.create_source(&name, [9; 32]).await {
        Ok(_) => {}
        Err(error) => assert!(error.is_conflict_on("sources_name"), "{error:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_does_not_get_over_a_cut_off_call_is_replaced() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    sqlx::raw_sql("LOCK TABLES sources WRITE").execute(&mut other).await.unwrap();
    let one = dmf_shared::store::Store::connect_lazily(&options(&lab, 1));
    let cut = tokio::time::timeout(std::time::Duration::from_millis(100), one.sources()).await;
    assert!(cut.is_err(), "{cut:?}");
    // The only connection waits for the table still, longer than a caller waits for one.
    one.version().await.unwrap();
    sqlx::raw_sql("UNLOCK TABLES").execute(&mut other).await.unwrap();
    assert_eq!(one.sources().await.unwrap().len(), 1);
    assert_eq!(scene.store.sources().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_gets_the_open_transaction_of_a_call_that_was_cut_off() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    // Slow enough to cut a call off anywhere.
    let line = dmf_lab::Proxy::start(lab.mariadb().addr()).await.unwrap();
    let slow = dmf_shared::store::Store::connect_lazily(&options_by(&lab, line.addr(), 1));
    slow.version().await.unwrap();
    line.set_latency(std::time::Duration::from_millis(5));
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    for millis in (0..60).step_by(3) {
        let batch = slow.next_outbox_batch(1);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(millis), batch).await;
        // Within an open transaction, this read belongs to it.
        slow.sources().await.unwrap();
        let open = "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id <> CONNECTION_ID()";
        let open = sqlx::raw_sql(open).fetch_all(&mut other).await.unwrap().len();
        assert_eq!(open, 0, "after {millis} ms");
    }
    drop(scene);
}

#[tokio::test]
async fn states_of_the_server_that_pass_throw_no_result_away() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let job = submit(&scene, "alice").await;
    claim(&scene, &[job]).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    for number in [1021, 1114, 1030, 1041, 1135, 1180, 1969, 1129] {
        let trigger = format!(
            "CREATE OR REPLACE TRIGGER full BEFORE UPDATE ON journalCustomerX FOR EACH ROW
             SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut other).await.unwrap();
        let error = scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap_err();
        assert!(error.is_transient(), "{number}: {error:?}");
    }
    let refused = "CREATE OR REPLACE TRIGGER full BEFORE UPDATE ON journalCustomerX FOR EACH ROW
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1406";
    sqlx::raw_sql(refused).execute(&mut other).await.unwrap();
    let error = scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap_err();
    assert!(!error.may_pass(), "{error:?}");
    sqlx::raw_sql("DROP TRIGGER full").execute(&mut other).await.unwrap();
    let finished = scene.store.finish(&scene.source, job, Epoch(1), &success()).await.unwrap();
    assert_eq!(finished, Finished::Recorded);
}

#[tokio::test]
async fn a_login_that_is_refused_may_pass_for_who_was_let_in_before() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let lock = "ALTER USER 'dmf'@'127.0.0.1' IDENTIFIED BY 'another'";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let late = dmf_shared::store::Store::connect_lazily(&options(&lab, 1));
    let error = late.sources().await.unwrap_err();
    assert!(error.may_pass() && !error.is_transient(), "{error:?}");
    scene.store.sources().await.unwrap();
}

#[tokio::test]
async fn another_life_of_the_server_is_told() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let (first, _) = scene.store.watch_leases().await.unwrap();
    // Its start is told in whole seconds, and the same in each of them.
    let later = dmf_lab::poll_until("some seconds later", crate::support::PATIENCE, async || {
        let mut other = MySqlConnection::connect(&lab.mariadb().url("")).await.map_err(|e| e.to_string())?;
        let up = "SELECT 1 FROM information_schema.GLOBAL_STATUS
                  WHERE VARIABLE_NAME = 'UPTIME' AND CAST(VARIABLE_VALUE AS SIGNED) >= 3";
        let up = sqlx::raw_sql(up).fetch_optional(&mut other).await.map_err(|e| e.to_string())?;
        up.map(|_| ()).ok_or_else(|| "not yet".to_owned())
    });
    later.await.unwrap();
    assert_eq!(scene.store.watch_leases().await.unwrap().0, first);
    lab.mariadb().restart().await.unwrap();
    let restarted = dmf_lab::poll_until("the server answers", crate::support::PATIENCE, async || {
        scene.store.watch_leases().await
    });
    assert_ne!(restarted.await.unwrap().0, first);
}

#[tokio::test]
async fn a_connection_is_used_again_only_after_a_call_that_came_to_its_end() {
    let lab = lab().await;
    let _scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let one = dmf_shared::store::Store::connect_lazily(&options(&lab, 1));
    sqlx::raw_sql("LOCK TABLES sources WRITE").execute(&mut other).await.unwrap();
    let waiting = dmf_lab::poll_until("the call waits", crate::support::PATIENCE, async || {
        let waits = connections(&mut other, "COMMAND <> 'Sleep' AND INFO LIKE 'SELECT%FROM sources%'").await;
        <[u64; 1]>::try_from(waits).map_err(|waits| format!("{waits:?}"))
    });
    let [cut_off] = tokio::select! {
        answer = one.sources() => panic!("the table is locked, and yet {answer:?}"),
        waits = waiting => waits.unwrap(),
    };
    sqlx::raw_sql("UNLOCK TABLES").execute(&mut other).await.unwrap();
    assert_eq!(one.sources().await.unwrap().len(), 1);
    dmf_lab::poll_until("the connection is closed", crate::support::PATIENCE, async || {
        let left = connections(&mut other, &format!("ID = {cut_off}")).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();

    let before = connections(&mut other, "TRUE").await;
    for _ in 0..5 {
        one.sources().await.unwrap();
    }
    assert_eq!(connections(&mut other, "TRUE").await, before, "calls that came to their end");
}

#[tokio::test]
async fn a_connection_is_not_asked_whether_it_lives_between_two_calls() {
    let lab = lab().await;
    let scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let before = questions(&mut other).await;
    for _ in 0..50 {
        scene.store.sources().await.unwrap();
    }
    let asked = questions(&mut other).await - before;
    assert!(asked < 10, "the server was asked {asked} times in 50 calls");
}

#[tokio::test]
async fn spare_connections_that_died_are_replaced_before_they_are_used() {
    let lab = lab().await;
    let _scene = scene(&lab, 1).await;
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let before = connections(&mut other, "TRUE").await;
    let few = dmf_shared::store::Store::connect_lazily(&options(&lab, 4));
    futures::future::try_join_all((0..40).map(|_| few.sources())).await.unwrap();
    let ours: Vec<u64> =
        connections(&mut other, "TRUE").await.into_iter().filter(|id| !before.contains(id)).collect();
    assert!(ours.len() > 1, "{ours:?}");
    for id in &ours {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {id}"))).execute(&mut other).await.unwrap();
    }
    // Who answered a moment ago is believed to live.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    futures::future::try_join_all((0..40).map(|_| few.sources())).await.unwrap();
}

/// How often the server was asked whether it lives.
async fn questions(connection: &mut MySqlConnection) -> u64 {
    let asked = "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM information_schema.GLOBAL_STATUS
                 WHERE VARIABLE_NAME = 'COM_ADMIN_COMMANDS'";
    sqlx::raw_sql(asked).fetch_one(connection).await.unwrap().get(0)
}

#[tokio::test]
async fn nobody_waits_for_a_connection_beside_a_spare_one() {
    let lab = lab().await;
    let _scene = scene(&lab, 1).await;
    let few = dmf_shared::store::Store::connect_lazily(&options(&lab, 2));
    // Each goes on at once: what comes back must go to those who wait, not to who came last.
    let callers = (0..20).map(|_| async {
        for _ in 0..50 {
            few.sources().await?;
        }
        Ok::<_, dmf_shared::store::Error>(())
    });
    let all = futures::future::try_join_all(callers);
    tokio::time::timeout(crate::support::PATIENCE, all).await.unwrap().unwrap();
    let mut other = MySqlConnection::connect(&lab.mariadb().url("migration")).await.unwrap();
    let ours = connections(&mut other, "TRUE").await.len();
    tokio::time::timeout(crate::support::PATIENCE, few.close()).await.unwrap();
    dmf_lab::poll_until("a closed pool has no connection", crate::support::PATIENCE, async || {
        let left = connections(&mut other, "TRUE").await.len();
        if left + 2 == ours { Ok(()) } else { Err(format!("{left} of {ours} are left")) }
    })
    .await
    .unwrap();
}

/// The ids of those of the server's other connections for which this holds.
async fn connections(connection: &mut MySqlConnection, condition: &str) -> Vec<u64> {
    let ids = format!(
        "SELECT CAST(ID AS UNSIGNED) FROM information_schema.PROCESSLIST
         WHERE ID <> CONNECTION_ID() AND {condition} ORDER BY ID"
    );
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(ids)).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
