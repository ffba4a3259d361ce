//! What texts of the configuration mean.

use std::path::PathBuf;

/// A `file:` or `classpath:` path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A file of this machine.
    File(PathBuf),
    /// Something that the original ships inside its package (`META-INF/swagger`).
    Classpath(String),
}

pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Some(true),
        "false" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

pub(super) fn parse_resource(text: &str) -> Option<Resource> {
    let text = text.trim();
    if let Some(name) = text.strip_prefix("classpath:") {
        return Some(Resource::Classpath(name.to_owned()));
    }
    let path = text.strip_prefix("file:").unwrap_or(text);
    (!path.is_empty()).then(|| Resource::File(PathBuf::from(path)))
}

/// serde's message without the text that it quotes, which may be a secret.
pub(super) fn without_values(message: &str) -> String {
    match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}a string{}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    }
}
