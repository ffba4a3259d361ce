use dmf_lab::Lab;

use super::*;
use crate::config::{DataSource, Environment, Reader, Sources};

/// Two steps of a version to come.
const NEW: [&str; 2] = [
    "ALTER TABLE {users} ADD COLUMN IF NOT EXISTS colour VARCHAR(16) NULL
     -- next statement
     ALTER TABLE {journal} ADD COLUMN IF NOT EXISTS shape VARCHAR(16) NOT NULL DEFAULT 'round'",
    "ALTER TABLE {users} ADD COLUMN IF NOT EXISTS size INT NULL",
];

/// The steps of this version and so many more.
fn with_new(count: usize) -> &'static [&'static str] {
    PER_SOURCE.iter().chain(&NEW[..count]).copied().collect::<Vec<_>>().leak()
}

async fn store(lab: &Lab) -> Store {
    let text = format!(
        "datasources.default: {{url: '{}', username: '{}', password: '{}'}}",
        lab.mariadb().jdbc_url("steps?createDatabaseIfNotExist=true"),
        lab.mariadb().user(),
        lab.mariadb().password(),
    );
    let environment = Environment::from_variables([("", ""); 0]);
    let properties = Sources::default().load_text(&text, environment).unwrap();
    let source = DataSource::read(&mut Reader::new(&properties), "datasources.default").unwrap();
    let options = Options::from(&source);
    Store::create_database(&options).await.unwrap();
    let store = Store::connect_lazily(&options);
    store.migrate().await.unwrap();
    store
}

async fn steps_of(store: &Store) -> Vec<u32> {
    sqlx::query_scalar("SELECT schema_step FROM sources ORDER BY id").fetch_all(&store.pool).await.unwrap()
}

#[tokio::test]
async fn steps_reach_sources_that_an_older_scheduler_creates_later() {
    let lab = Lab::builder().mariadb().start().await.unwrap();
    let store = store(&lab).await;
    store.create_source(&"One".parse().unwrap(), [1; 32]).await.unwrap();
    store.migrate_sources_by(with_new(1)).await.unwrap();
    let now = last_of(PER_SOURCE);
    assert_eq!(steps_of(&store).await, [now + 1]);
    // The older version runs on, and creates one at its own step; another one has lost its tables to a deletion
    // that was cut off.
    store.create_source(&"Gone".parse().unwrap(), [2; 32]).await.unwrap();
    store.create_source(&"Two".parse().unwrap(), [3; 32]).await.unwrap();
    sqlx::query("DROP TABLE usersGone, journalGone").execute(&store.pool).await.unwrap();
    store.migrate_sources().await.unwrap();
    assert_eq!(steps_of(&store).await, [now + 1, now, now], "the older version leaves them alone");
    let (a, b) = tokio::join!(store.migrate_sources_by(with_new(2)), store.migrate_sources_by(with_new(2)));
    a.unwrap();
    b.unwrap();
    store.migrate_sources_by(with_new(2)).await.unwrap();
    assert_eq!(steps_of(&store).await, [now + 2, now, now + 2]);
    for source in ["One", "Two"] {
        let statement = format!("SELECT colour, size, shape FROM users{source}, journal{source}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&store.pool).await.unwrap();
    }
    // A start of the older version does no harm either.
    store.migrate().await.unwrap();
    assert_eq!(steps_of(&store).await, [now + 2, now, now + 2]);
}

#[tokio::test]
async fn a_step_that_was_cut_off_is_run_again() {
    let lab = Lab::builder().mariadb().start().await.unwrap();
    let store = store(&lab).await;
    store.create_source(&"One".parse().unwrap(), [1; 32]).await.unwrap();
    // Its statements were done, its number was not written.
    store.migrate_sources_by(with_new(2)).await.unwrap();
    sqlx::query("UPDATE sources SET schema_step = 0").execute(&store.pool).await.unwrap();
    store.migrate_sources_by(with_new(2)).await.unwrap();
    assert_eq!(steps_of(&store).await, [last_of(PER_SOURCE) + 2]);
}
