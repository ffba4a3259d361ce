//! The connections, made anew for ever when they are lost: one for commands and for wake-ups (RESP3), one for
//! heartbeats.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use redis::{
    Client, PushInfo, PushKind, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::{Mutex, Notify};

use super::{Control, ControlSender, Error, Options, Result, endpoint::Endpoint, replicas::Replicated};
use crate::domain::ids::{BackendId, TargetId};

/// Redis. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    endpoint: Arc<Endpoint>,
    /// None while nobody has said where Redis is.
    lines: Arc<RwLock<Option<Lines>>>,
    prefix: Arc<str>,
    deadline: Duration,
    listeners: Listeners,
    /// Held while somebody subscribes or the server changes, so that no subscription is left behind.
    subscribing: Arc<Mutex<()>>,
    pub(super) replicated: Replicated,
}

/// Who wants to hear of messages.
type Listeners = Arc<RwLock<Vec<Listener>>>;

/// Somebody who hears, and on which channels.
struct Listener {
    channels: Vec<String>,
    hears: Hears,
}

enum Hears {
    /// Of wake-ups, on any channel that is no control channel.
    Wake(Arc<Notify>),
    /// Of the messages of one control channel.
    Control(String, ControlSender),
}

/// The connections to one server.
#[derive(Clone)]
pub(super) struct Lines {
    /// For commands and wake-ups.
    commands: ConnectionManager,
    /// For heartbeats that replicas must have heard: WAIT looks at what was written on its connection, and blocks it.
    heartbeats: ConnectionManager,
}

impl Lines {
    /// What the server is: `master`, `slave` or `sentinel`.
    pub(super) async fn role(&self, deadline: Duration) -> Result<String> {
        let mut connection = self.commands.clone();
        let role = redis::cmd("ROLE");
        let answer: Vec<Value> = tokio::time::timeout(deadline, role.query_async(&mut connection))
            .await
            .map_err(|_| Error::TimedOut)??;
        answer.first().and_then(|role| redis::from_redis_value_ref(role).ok()).ok_or(Error::Inconsistent)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue that connects when it is first used, and again whenever the connection is lost. Where Sentinels say
    /// where Redis is, it is unavailable until [`Self::follow_master`] has found it. Must be called inside a tokio
    /// runtime.
    pub fn connect_lazily(options: &Options) -> Result<Self> {
        let endpoint = options.endpoint().map_err(Error::Settings)?;
        let queue = Self {
            endpoint: Arc::new(endpoint),
            lines: Arc::default(),
            prefix: options.prefix.as_str().into(),
            deadline: options.deadline,
            listeners: Listeners::default(),
            subscribing: Arc::default(),
            replicated: Replicated::new(options.replicas),
        };
        if let Endpoint::Server(client) = queue.endpoint() {
            let lines = queue.open_lines(client)?;
            *queue.lines.write().unwrap_or_else(PoisonError::into_inner) = Some(lines);
        }
        Ok(queue)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Connections to this server, made when they are first used.
    pub(super) fn open_lines(&self, client: &Client) -> Result<Lines> {
        let heard = self.listeners.clone();
        let settings = || settings(self.deadline);
        let listening = settings()
            .set_push_sender(move |push: PushInfo| {
                hear(&heard, &push);
                Ok::<(), redis::aio::SendError>(())
            })
            .set_automatic_resubscription();
        let connect =
            |config| ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(Error::Settings);
        Ok(Lines { commands: connect(listening)?, heartbeats: connect(settings())? })
    }

    /// Uses these connections from now on, with all subscriptions. Who listens may have missed something.
    pub(super) async fn switch_to(&self, lines: Lines) -> Result<()> {
        let _alone = self.subscribing.lock().await;
        let channels: Vec<String> = {
            let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().flat_map(|listener| listener.channels.clone()).collect()
        };
        if !channels.is_empty() {
            // Each subscription is answered, and the answer wakes everybody.
            subscribe(lines.commands.clone(), &channels, self.deadline).await?;
        }
        *self.lines.write().unwrap_or_else(PoisonError::into_inner) = Some(lines);
        Ok(())
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn connection(&self) -> Result<ConnectionManager> {
        Ok(self.lines()?.commands)
    }

    /// The connection for heartbeats that replicas must have heard.
    pub(super) fn heartbeat_connection(&self) -> Result<ConnectionManager> {
        Ok(self.lines()?.heartbeats)
    }

    fn lines(&self) -> Result<Lines> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        lines.clone().ok_or(Error::MasterUnknown)
    }

    /// Notifies `listener` at every wake-up of the target, and whenever one may have been missed.
    /// Subscribing needs a connection: fails while there is none, and is then to be repeated.
    pub(super) async fn subscribe(&self, target: TargetId, listener: Arc<Notify>) -> Result<()> {
        let channels = [format!("{}wake:{target}", self.prefix), format!("{}wake", self.prefix)];
        self.listen(channels.into(), Hears::Wake(listener)).await
    }

    /// Sends the control messages of a worker to `sender`, and [`Control::Look`] whenever one may have
    /// been missed. Subscribing needs a connection: fails while there is none, and is then to be
    /// repeated.
    pub async fn subscribe_control(&self, backend: BackendId, sender: ControlSender) -> Result<()> {
        let channel = self.control_channel(backend);
        self.listen(vec![channel.clone()], Hears::Control(channel, sender)).await
    }

    async fn listen(&self, channels: Vec<String>, hears: Hears) -> Result<()> {
        let _alone = self.subscribing.lock().await;
        subscribe(self.connection()?, &channels, self.deadline).await?;
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(Listener { channels, hears });
        Ok(())
    }

    /// Whether the queues are there and nobody rebuilds them. One GET.
    pub async fn is_built(&self) -> Result<bool> {
        let mut connection = self.connection()?;
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
        let mut connection = self.connection()?;
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

impl Queue {
    /// What goes wrong with a new connection: a wrong password, a certificate that somebody does not trust. The
    /// connections of the queue try again and again, and tell nobody why. `None` where one can be opened, and where
    /// it is the Sentinels who don't answer.
    pub(super) async fn why_unreachable(&self) -> Option<String> {
        let Endpoint::Server(client) = self.endpoint() else { return None };
        match tokio::time::timeout(self.deadline, client.get_multiplexed_async_connection()).await {
            Ok(opened) => opened.err().map(|error| error.to_string()),
            Err(_) => Some(Error::TimedOut.to_string()),
        }
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

async fn subscribe(mut connection: ConnectionManager, channels: &[String], deadline: Duration) -> Result<()> {
    tokio::time::timeout(deadline, connection.subscribe(channels)).await.map_err(|_| Error::TimedOut)??;
    Ok(())
}

fn settings(deadline: Duration) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(deadline))
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_number_of_retries(usize::MAX)
        .set_max_delay(Duration::from_secs(2))
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
        match (&listener.hears, message) {
            (Hears::Wake(notify), None) => notify.notify_one(),
            // One process may hear control messages and wake-ups on the same connection.
            (Hears::Wake(notify), Some((channel, _))) if !is_control(channel) => notify.notify_one(),
            (Hears::Control(_, sender), None) => {
                let _ = sender.try_send(Control::Look);
            }
            (Hears::Control(own, sender), Some((channel, text))) if own.as_bytes() == channel => {
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
