//! A private MariaDB or Redis for each test, and what most tests begin with.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "a part of each test binary, which uses a part of it"
)]

use std::{net::SocketAddr, time::Duration};

use dmf_lab::Lab;
use dmf_shared::{
    config::{DataSource, Environment, Reader, Sources},
    domain::{
        command::Command,
        ids::{HostId, TargetId},
        migration::Phase,
    },
    queue::{self, Queue},
    store::{
        BackendState, Holder, NewSourcehost, Options, Registration, Source, Store, Submission, UserFields,
    },
};
use uuid::Uuid;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// Connection options as a settings file gives them.
pub fn options(lab: &Lab, pool: u32) -> Options {
    options_by(lab, lab.mariadb().addr(), pool)
}

/// The same by the way of a proxy.
pub fn options_by(lab: &Lab, place: SocketAddr, pool: u32) -> Options {
    let url = format!("jdbc:mariadb://{place}/migration?createDatabaseIfNotExist=true");
    let text = format!(
        "datasources.default:\n  url: '{url}'\n  username: {}\n  password: {}\n  maximum-pool-size: {pool}\n  connection-timeout: 5000\n",
        lab.mariadb().user(),
        lab.mariadb().password()
    );
    let variables: [(&str, &str); 0] = [];
    let properties = Sources::default().load_text(&text, Environment::from_variables(variables)).unwrap();
    let mut reader = Reader::new(&properties);
    Options::from(&DataSource::read(&mut reader, "datasources.default").unwrap())
}

pub async fn store(lab: &Lab) -> Store {
    let options = options(lab, 10);
    Store::create_database(&options).await.unwrap();
    let store = Store::connect_lazily(&options);
    store.migrate().await.unwrap();
    store
}

pub fn queue(lab: &Lab) -> Queue {
    let options =
        queue::Options { deadline: Duration::from_secs(5), ..queue::Options::at(lab.redis().url()) };
    Queue::connect_lazily(&options).unwrap()
}

/// A Source with one source host, a target and a worker on it.
pub struct Scene {
    pub store: Store,
    pub source: Source,
    pub host: HostId,
    pub target: TargetId,
    pub holder: Holder,
}

pub async fn scene(lab: &Lab, max_connections: u32) -> Scene {
    let store = store(lab).await;
    let source = store.create_source(&"CustomerX".parse().unwrap(), [7; 32]).await.unwrap();
    let host = add_host(&store, &source, "imap.one", max_connections).await;
    let holder = register(&store, "worker-1").await;
    let target = store.target_by_name("default").await.unwrap().unwrap().id;
    Scene { store, source, host, target, holder }
}

pub async fn add_host(store: &Store, source: &Source, name: &str, max_connections: u32) -> HostId {
    let new = NewSourcehost {
        name: name.to_owned(),
        port: None,
        max_connections,
        reserved_for_priority: 0,
        migration_command1: Command::named("ignore"),
        migration_command2: None,
        status_command: None,
    };
    store.create_sourcehost(source.id, &new).await.unwrap()
}

pub async fn register(store: &Store, name: &str) -> Holder {
    let registration = Registration {
        target: "default".to_owned(),
        name: name.to_owned(),
        incarnation: Uuid::new_v4(),
        machine: "here".to_owned(),
        version: "0".to_owned(),
        initial_state: BackendState::Running,
        threads: 4,
        lease_deadline: Duration::from_secs(45),
    };
    let seen = store.backend("default", name).await.unwrap();
    let backend = store.register_backend(&registration, seen.as_ref()).await.unwrap().unwrap();
    assert_eq!(backend.incarnation, registration.incarnation);
    Holder {
        backend: backend.id,
        incarnation: backend.incarnation,
        target: backend.target_id,
        name: format!("default/{name}"),
    }
}

impl Scene {
    pub fn submission(&self, uid: &str) -> Submission {
        Submission {
            source_uid: uid.to_owned(),
            user: UserFields {
                target_uid: Some(uid.to_owned()),
                target: Some(self.target),
                sourcehost: Some(self.host),
                ..UserFields::default()
            },
            phase: Phase::PreSync,
            priority: false,
            not_before: None,
            force: false,
            trace: None,
            noted: None,
        }
    }
}
