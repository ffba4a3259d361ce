//! Two stores, and a Source with a host to submit to.

use std::time::Duration;

use dmf_lab::Lab;
use dmf_shared::{
    config::{DataSource, Environment, Reader, Sources},
    domain::{
        command::Command,
        ids::{HostId, JobId, TargetId},
        migration::Phase,
    },
    queue::{self, Free, Proposal, Queue},
    store::{
        BackendState, ClaimRequest, Claimed, Decision, Holder, NewSourcehost, Options, Registration, Source,
        Store, Submission, SubmitError, Submitted, UserFields,
    },
};
use sqlx::{Connection as _, MySqlConnection};
use uuid::Uuid;

/// How long a test waits for a state.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const DATABASE: &str = "duties";

/// What the duties work on.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) source: Source,
    pub(crate) host: HostId,
    pub(crate) target: TargetId,
    pub(crate) holder: Holder,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let lab = Lab::builder().mariadb().redis().start().await.unwrap();
        let store = connect(&lab).await;
        let queue = Queue::connect_lazily(&queue::Options {
            deadline: Duration::from_secs(5),
            ..queue::Options::at(lab.redis().url())
        })
        .unwrap();
        let source = store.create_source(&"CustomerX".parse().unwrap(), [7; 32]).await.unwrap();
        let host = add_host(&store, &source).await;
        let registration = Registration {
            target: "default".to_owned(),
            name: "worker-1".to_owned(),
            incarnation: Uuid::from_u128(7),
            machine: "here".to_owned(),
            version: "0".to_owned(),
            initial_state: BackendState::Running,
            threads: 4,
            lease_deadline: Duration::from_secs(45),
        };
        let backend = store.register_backend(&registration, None).await.unwrap().unwrap();
        let holder = Holder {
            backend: backend.id,
            target: backend.target_id,
            incarnation: registration.incarnation,
            name: "default/worker-1".to_owned(),
        };
        let target = backend.target_id;
        Self { lab, store, queue, source, host, target, holder }
    }

    /// The same, with queues that are built.
    pub(crate) async fn built() -> Self {
        let stage = Self::start().await;
        assert!(dmf_scheduler::rebuild::run(&stage.store, &stage.queue).await.unwrap());
        stage
    }

    pub(crate) async fn submit(&self, uid: &str) -> JobId {
        self.submit_to(&self.source, self.host, uid).await
    }

    pub(crate) async fn submit_to(&self, source: &Source, host: HostId, uid: &str) -> JobId {
        let submission = self.submission(source, host, uid);
        let submitted = self.store.submit(source, &submission).await.unwrap();
        JobId { source: source.id, journal: submitted.record.id }
    }

    /// Submits to the first Source; may be refused.
    pub(crate) async fn try_submit(&self, uid: &str, priority: bool) -> Result<Submitted, SubmitError> {
        let submission = Submission { priority, ..self.submission(&self.source, self.host, uid) };
        self.store.submit(&self.source, &submission).await
    }

    fn submission(&self, source: &Source, host: HostId, uid: &str) -> Submission {
        Submission {
            source_uid: uid.to_owned(),
            user: UserFields {
                target_uid: Some(format!("{uid}@{}", source.name)),
                target: Some(self.target),
                sourcehost: Some(host),
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

    /// Redis forgets everything.
    pub(crate) async fn flush(&self) {
        let client = redis::Client::open(self.lab.redis().url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    }

    pub(crate) async fn claim(&self, job: JobId) -> Claimed {
        let request = ClaimRequest { job, host: self.host };
        match self.store.claim(&self.holder, &[request]).await.unwrap().pop() {
            Some(Decision::Granted(claimed)) => *claimed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn propose(&self) -> Vec<Proposal> {
        let free = Free { total: 1_000, normal: 1_000 };
        self.queue.propose(self.target, free, Duration::from_mins(1)).await.unwrap().jobs
    }

    /// A connection of its own to MariaDB.
    pub(crate) async fn database(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.lab.mariadb().url(DATABASE)).await.unwrap()
    }
}

async fn connect(lab: &Lab) -> Store {
    let url = lab.mariadb().jdbc_url(&format!("{DATABASE}?createDatabaseIfNotExist=true"));
    let (user, password) = (lab.mariadb().user(), lab.mariadb().password());
    let text = format!("datasources.default: {{url: '{url}', username: {user}, password: {password}}}");
    let environment = Environment::from_variables([("", ""); 0]);
    let properties = Sources::default().load_text(&text, environment).unwrap();
    let source = DataSource::read(&mut Reader::new(&properties), "datasources.default").unwrap();
    let options = Options::from(&source);
    Store::create_database(&options).await.unwrap();
    let store = Store::connect_lazily(&options);
    store.migrate().await.unwrap();
    store
}

pub(crate) async fn add_host(store: &Store, source: &Source) -> HostId {
    let new = NewSourcehost {
        name: "imap.one".to_owned(),
        port: None,
        max_connections: 500,
        reserved_for_priority: 0,
        migration_command1: Command::named("ignore"),
        migration_command2: None,
        status_command: None,
    };
    store.create_sourcehost(source.id, &new).await.unwrap()
}
