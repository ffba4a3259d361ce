//! A server of its own for each test.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use dmf_shared::{
    config::{Environment, Reader, Sources},
    ops::{
        Lifecycle,
        http::{ListenSettings, Server},
    },
};
use tokio::sync::Notify;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The value of a future that must come to an end.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}"))
}

/// Settings of a listener, as YAML.
pub(crate) fn settings(yaml: &str) -> ListenSettings {
    try_settings(yaml).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The same, or everything that is wrong.
pub(crate) fn try_settings(yaml: &str) -> Result<ListenSettings, String> {
    let no_variables: [(&str, &str); 0] = [];
    let text = format!("{yaml}\nmicronaut.server.host: 127.0.0.1\n");
    let properties = Sources::default().load_text(&text, Environment::from_variables(no_variables)).unwrap();
    let mut reader = Reader::new(&properties);
    let settings = ListenSettings::read(&mut reader);
    reader.finish().map(|_| settings).map_err(|errors| errors.to_string())
}

/// A server that answers `/slow` when it is told to, and everything else at once.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) settings: ListenSettings,
    /// Notified when a request to `/slow` has come.
    pub(crate) asked: Arc<Notify>,
    /// Lets one of them be answered.
    pub(crate) release: Arc<Notify>,
}

impl Running {
    pub(crate) async fn start(yaml: &str) -> Self {
        // With TLS, the port is that of `ssl`.
        let mut settings = settings(yaml);
        settings.address.set_port(0);
        let server = Server::bind(&settings).await.unwrap();
        let address = server.local_addr().unwrap();
        let lifecycle = Lifecycle::new();
        let (asked, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (asked, release) = (asked.clone(), release.clone());
            get(async move || {
                asked.notify_one();
                release.notified().await;
                "at last"
            })
        };
        let router = Router::new().route("/", get(async || "here")).route("/slow", slow);
        let router = router.fallback(async || "nothing");
        lifecycle.spawn("http", server.serve(router, lifecycle.clone()));
        Self { address, lifecycle, settings, asked, release }
    }
}
