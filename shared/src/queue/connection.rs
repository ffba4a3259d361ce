//! The connections, made anew for ever when they are lost: one for commands and for wake-ups (RESP3), one for
//! heartbeats.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use redis::{
    Client, IntoConnectionInfo as _, PushInfo, PushKind, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;

use super::{Control, ControlSender, Error, Options, Result, replicas::Replicated};
use crate::domain::ids::{BackendId, TargetId};

/// Redis. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    connection: ConnectionManager,
    prefix: Arc<str>,
    deadline: Duration,
    listeners: Listeners,
    pub(super) replicated: Replicated,
}

/// Who wants to hear of messages.
type Listeners = Arc<RwLock<Vec<Listener>>>;

enum Listener {
    /// Of wake-ups, on any channel that is no control channel.
    Wake(Arc<Notify>),
    /// Of the messages of one control channel.
    Control(String, ControlSender),
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue that connects when it is first used, and again whenever the connection is lost.
    /// Must be called inside a tokio runtime.
    pub fn connect_lazily(options: &Options) -> Result<Self> {
        let info = options.url.expose_secret().into_connection_info().map_err(Error::Settings)?;
        let resp3 = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
        let info = info.set_redis_settings(resp3).set_tcp_settings(tcp_settings());
        let client = Client::open(info).map_err(Error::Settings)?;
        let listeners = Listeners::default();
        let heard = listeners.clone();
        let config = settings(options)
            .set_push_sender(move |push: PushInfo| {
                hear(&heard, &push);
                Ok::<(), redis::aio::SendError>(())
            })
            .set_automatic_resubscription();
        let connect = |config| ConnectionManager::new_lazy_with_config(client.clone(), config);
        let connection = connect(config).map_err(Error::Settings)?;
        let own = connect(settings(options)).map_err(Error::Settings)?;
        Ok(Self {
            connection,
            prefix: options.prefix.as_str().into(),
            deadline: options.deadline,
            listeners,
            replicated: Replicated::new(own, options.replicas),
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// Notifies `listener` at every wake-up of the target, and whenever one may have been missed.
    /// Subscribing needs a connection: fails while there is none, and is then to be repeated.
    pub(super) async fn subscribe(&self, target: TargetId, listener: Arc<Notify>) -> Result<()> {
        let channels = [format!("{}wake:{target}", self.prefix), format!("{}wake", self.prefix)];
        self.listen(&channels, Listener::Wake(listener)).await
    }

    /// Sends the control messages of a worker to `sender`, and [`Control::Look`] whenever one may have
    /// been missed. Subscribing needs a connection: fails while there is none, and is then to be
    /// repeated.
    pub async fn subscribe_control(&self, backend: BackendId, sender: ControlSender) -> Result<()> {
        let channel = self.control_channel(backend);
        self.listen(std::slice::from_ref(&channel), Listener::Control(channel.clone(), sender)).await
    }

    async fn listen(&self, channels: &[String], listener: Listener) -> Result<()> {
        let mut connection = self.connection();
        tokio::time::timeout(self.deadline, connection.subscribe(channels))
            .await
            .map_err(|_| Error::TimedOut)??;
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
        Ok(())
    }

    /// Whether the queues are there and nobody rebuilds them. One GET.
    pub async fn is_built(&self) -> Result<bool> {
        let mut connection = self.connection();
        let mut get = redis::cmd("GET");
        get.arg(format!("{}gen", self.prefix));
        let generation: Option<String> =
            tokio::time::timeout(self.deadline, get.query_async(&mut connection))
                .await
                .map_err(|_| Error::TimedOut)??;
        Ok(generation.is_some_and(|generation| !generation.starts_with("building:")))
    }

    /// Redis's version, its eviction policy and its run id: what health reports and start-up checks
    /// look at.
    pub async fn server(&self) -> Result<Server> {
        let mut connection = self.connection();
        let info = redis::cmd("INFO");
        let info: String = tokio::time::timeout(self.deadline, info.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim().to_owned()
        };
        Ok(Server {
            version: field("redis_version"),
            eviction_policy: field("maxmemory_policy"),
            run_id: field("run_id"),
        })
    }
}

/// What Redis says of itself.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its version.
    pub version: String,
    /// `noeviction` is required: anything else may throw jobs away.
    pub eviction_policy: String,
    /// Random, new at every start of Redis.
    pub run_id: String,
}

fn settings(options: &Options) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(options.deadline))
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_number_of_retries(usize::MAX)
        .set_max_delay(Duration::from_secs(2))
}

/// A peer that vanished without a word is found out within seconds, also by a connection that only listens.
fn tcp_settings() -> TcpSettings {
    let keepalive = redis::io::tcp::socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(5))
        .with_retries(2);
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(Duration::from_secs(10))
        .set_keepalive(keepalive)
}

fn hear(listeners: &Listeners, push: &PushInfo) {
    // A lost or new connection may have missed messages, so it wakes everybody.
    let missed = matches!(push.kind, PushKind::Subscribe | PushKind::Disconnection);
    let message = match (&push.kind, &push.data[..]) {
        (PushKind::Message, [Value::BulkString(channel), Value::BulkString(text), ..]) => {
            Some((channel, text))
        }
        _ if missed => None,
        _ => return,
    };
    for listener in listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
        match (listener, message) {
            (Listener::Wake(notify), None) => notify.notify_one(),
            // One process may hear control messages and wake-ups on the same connection.
            (Listener::Wake(notify), Some((channel, _))) if !is_control(channel) => notify.notify_one(),
            (Listener::Control(_, sender), None) => {
                let _ = sender.try_send(Control::Look);
            }
            (Listener::Control(own, sender), Some((channel, text))) if own.as_bytes() == channel => {
                let control = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                let _ = sender.try_send(control.unwrap_or(Control::Look));
            }
            _ => {}
        }
    }
}

fn is_control(channel: &[u8]) -> bool {
    channel.windows(5).any(|part| part == b":ctl:")
}
