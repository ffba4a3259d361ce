use anyhow::Result;
use reqwest::Method;
use serde_json::Value;

use crate::api::{ADMIN_API, Api, CUSTOMER_API, KEY_HEADER};
use crate::settings::{ADMIN, ADMIN_PASSWORD};

/// Who sends a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller<'a> {
    /// The admin.
    Admin,
    /// The customer with this key.
    Customer(&'a str),
}

/// Prints a POST as a command for a shell, sends the same, and returns the body of the 201.
pub(super) async fn post(api: &Api, caller: Caller<'_>, path: &str, body: &Value) -> Result<Value> {
    println!("{}", post_command(api.url(), caller, path, body));
    let answer = match caller {
        Caller::Admin => api.admin(Method::POST, path, Some(body)).await?,
        Caller::Customer(key) => api.customer(key, Method::POST, path, Some(body)).await?,
    };
    answer.expect(201)
}

fn post_command(url: &str, caller: Caller<'_>, path: &str, body: &Value) -> String {
    let (api, credentials) = credentials(caller);
    let body = quote(&body.to_string());
    format!("curl -sS {url}{api}{path} {credentials} -H 'Content-Type: application/json' -d {body}")
}

/// A GET as a command for a shell.
pub(super) fn get_command(url: &str, caller: Caller<'_>, path: &str) -> String {
    let (api, credentials) = credentials(caller);
    format!("curl -sS {url}{api}{path} {credentials}")
}

fn credentials(caller: Caller<'_>) -> (&'static str, String) {
    match caller {
        Caller::Admin => (ADMIN_API, format!("-u {}", quote(&format!("{ADMIN}:{ADMIN_PASSWORD}")))),
        Caller::Customer(key) => (CUSTOMER_API, format!("-H {}", quote(&format!("{KEY_HEADER}: {key}")))),
    }
}

/// A text as one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_survive_the_shell() {
        let command = post_command("http://h:1", Caller::Customer("k"), "/users", &json!({ "a": "it's" }));
        assert_eq!(
            command,
            r#"curl -sS http://h:1/dmf/api/v2/users -H 'X-API-KEY: k' -H 'Content-Type: application/json' -d '{"a":"it'\''s"}'"#
        );
    }
}
