//! What a line about a login says: `Authentication failed: REASON`, `Login to HOST failed: REASON`.

use super::{Sign, limit::is_refused_too_often};

const PERMANENT: [&str; 4] = ["[authenticationfailed]", "[authorizationfailed]", "[expired]", "[noperm]"];

const TEMPORARY: [&str; 41] = [
    "[unavailable]",
    "[serverbug]",
    "[inuse]",
    "[in-use]",
    "[sys/temp]",
    "[corruption]",
    "temporar",
    "try again",
    "try later",
    "again later",
    "internal error",
    "internal server error",
    "internal login failure",
    "internal auth failure",
    "internal failure",
    "refer to server log",
    "server error",
    "system error",
    "system failure",
    "generic failure",
    "unavailable",
    "service not available",
    "server not available",
    "backend not available",
    "maintenance",
    "timed out",
    "timeout",
    "shutting down",
    "starting up",
    "not connected",
    "not ready",
    "busy",
    "overloaded",
    "no space left",
    "disk full",
    "out of memory",
    "input/output error",
    "can't connect",
    "cannot connect",
    "could not connect",
    "connection refused",
];

/// The source wants encryption or another mechanism, wherever a line says so.
const INSECURE: [&str; 11] = [
    "[privacyrequired]",
    "plaintext authentication",
    "plain text authentication",
    "cleartext authentication",
    "logindisabled",
    "login disabled",
    "encryption required",
    "starttls first",
    "sasl mechanism",
    "sasl method",
    "only available under a layer",
];

/// The same in the answer to a login.
const INSECURE_ANSWER: [&str; 15] = [
    "cleartext",
    "plaintext login",
    "plain text login",
    "unencrypted",
    "must use ssl",
    "must use tls",
    "ssl required",
    "tls required",
    "requires ssl",
    "requires tls",
    "ssl/tls",
    "use starttls",
    "encrypted connection",
    "no mechanism available",
    "authentication mechanism",
];

fn has(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// True for what a server says that will work again; `answer` in small letters.
pub(super) fn is_temporary(answer: &str) -> bool {
    has(&TEMPORARY, answer)
}

/// Reads a line, in small letters; `None` when it is about no login.
pub(super) fn read(text: &str) -> Option<Sign> {
    if let Some((_, reason)) = text.split_once("authentication failed:") {
        return Some(read_reason(reason));
    }
    if has(&INSECURE, text) {
        return Some(Sign::Configuration);
    }
    if has(&PERMANENT[..2], text) {
        return Some(Sign::Authentication);
    }
    let (_, failed) = text.split_once("login to ")?;
    failed.contains(" failed:").then_some(Sign::LoginLost)
}

fn read_reason(reason: &str) -> Sign {
    if has(&PERMANENT, reason) || is_refused_too_often(reason) {
        Sign::Authentication
    } else if reason.contains("disconnected") || reason.contains("authentication timed out") {
        Sign::LoginLost
    } else if has(&INSECURE, reason) || has(&INSECURE_ANSWER, reason) {
        Sign::Configuration
    } else if is_temporary(reason) {
        Sign::LoginTemporary
    } else {
        Sign::Authentication
    }
}
