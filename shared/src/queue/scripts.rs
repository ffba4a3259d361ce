//! The Lua scripts: one file each in `shared/lua`, with the shared prelude in front.

use std::{sync::LazyLock, time::Instant};

use redis::{Script, ToRedisArgs};

use super::{Error, Queue, Result};

/// What metrics call this store.
const STORE: &str = "redis";

/// A script and what it is called.
pub(super) struct Lua {
    name: &'static str,
    script: LazyLock<Script>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub(super) static $name: Lua = Lua {
            name: $file,
            script: LazyLock::new(|| {
                script(concat!(
                    include_str!("../../lua/_prelude.lua"),
                    include_str!(concat!("../../lua/", $file, ".lua")),
                ))
            }),
        };)*
    };
}

scripts! {
    ABANDON_REBUILD = "abandon_rebuild",
    BEGIN_REBUILD = "begin_rebuild",
    END_REBUILD = "end_rebuild",
    FORGET_HOSTS = "forget_hosts",
    HEARTBEAT_JOBS = "heartbeat_jobs",
    PROMOTE_DUE = "promote_due",
    PROPOSE_JOBS = "propose_jobs",
    PUSH_JOBS = "push_jobs",
    REPORT_PROGRESS = "report_progress",
    SET_HOSTS = "set_hosts",
    SETTLE_JOBS = "settle_jobs",
    TAKE_LEAD = "take_lead",
}

/// The heartbeat as text, for a connection on which it must not be missing.
pub(super) const HEARTBEAT_TEXT: &str =
    concat!(include_str!("../../lua/_prelude.lua"), include_str!("../../lua/heartbeat_jobs.lua"),);

#[allow(clippy::disallowed_methods, reason = "this module is where Lua lives")]
fn script(text: &str) -> Script {
    Script::new(text)
}

/// One invocation of a script, with its KEYS and its first ARGV in place.
pub(super) struct Call {
    name: &'static str,
    invocation: redis::ScriptInvocation<'static>,
}

impl Call {
    pub(super) fn new(lua: &'static Lua, queue: &Queue) -> Self {
        let mut invocation = lua.script.prepare_invoke();
        invocation.key(format!("{}gen", queue.prefix())).arg(queue.prefix());
        Self { name: lua.name, invocation }
    }

    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.invocation.arg(arg);
        self
    }

    /// Runs the script within the queue's deadline; `Rebuild` when it says so.
    pub(super) async fn run(&self, queue: &Queue) -> Result<redis::Value> {
        let mut connection = queue.connection()?;
        let begun = Instant::now();
        let answer =
            tokio::time::timeout(queue.deadline(), self.invocation.invoke_async(&mut connection)).await;
        metrics::histogram!("dmf.store.calls", "store" => STORE, "call" => self.name).record(begun.elapsed());
        let answer = answer.map_err(|_| Error::TimedOut).and_then(|answer| answer.map_err(Error::from));
        if answer.is_err() {
            metrics::counter!("dmf.store.errors", "store" => STORE).increment(1);
        }
        let answer = answer?;
        match &answer {
            redis::Value::BulkString(text) if text == b"REBUILD" => Err(Error::Rebuild),
            redis::Value::SimpleString(text) if text == "REBUILD" => Err(Error::Rebuild),
            _ => Ok(answer),
        }
    }
}
