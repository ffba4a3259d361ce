use dmf_lab::Proxy;
use serde_json::{Value, json};

use crate::settings::TARGET;

/// A source host: a loopback address whose connections to the source Dovecot are counted.
#[derive(Debug)]
pub struct SourceHost {
    /// Counts, stalls and cuts.
    pub proxy: Proxy,
    /// Its `maxConnections`.
    pub limit: usize,
}

impl SourceHost {
    /// Its name in the API, which is its address.
    pub fn name(&self) -> String {
        self.proxy.addr().ip().to_string()
    }

    /// The body that creates it: the manual's command with the user's own password.
    pub fn definition(&self) -> Value {
        let option = |name: &str, value: &str| json!({ "name": name, "value": value });
        json!({
            "name": self.name(),
            "port": self.proxy.port(),
            "maxConnections": self.limit,
            "migrationCommand1": {
                "name": "doveadm",
                "options": [
                    option("imapc_user", "%{mdb:ruid}"),
                    option("imapc_password", "%{mdb:sourcepasswd}"),
                    option("imapc_host", "%{mdb:sourcehost}"),
                    option("imapc_port", "%{mdb:sourceport}"),
                ],
                "subCommand": {
                    "name": "backup",
                    "flags": ["-R"],
                    "options": [option("-u", "%{mdb:uid}")],
                    "arguments": ["imapc:"],
                },
            },
        })
    }

    /// The body that submits the first migration of a user of this host, who keeps the name on the target.
    pub fn submission(&self, user: &str, password: &str) -> Value {
        json!({
            "sourceUid": user,
            "phase": "PRE_SYNC",
            "targetUid": user,
            "target": TARGET,
            "sourcehost": self.name(),
            "password": password,
        })
    }

    /// The same with priority.
    pub fn priority_submission(&self, user: &str, password: &str) -> Value {
        let mut body = self.submission(user, password);
        body["priority"] = true.into();
        body
    }
}
