//! A user as a file describes it, with the fields of a submit.

use std::fmt;

use dmf_shared::{
    domain::{
        command::Command,
        command_rules::split_imapc_options,
        ids::{Epoch, HostId, JobId, JournalId, SourceId, TargetId, UserId},
        migration::Phase,
        user::{ImapcSsl, User},
    },
    store::{Claimed, NewSourcehost, Source, Sourcehost},
};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, SeqAccess, Unexpected, Visitor},
};

/// The file. What a submit says about the migration as such is taken and means nothing here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserFile {
    #[serde(default, deserialize_with = "text")]
    source: Option<String>,
    #[serde(deserialize_with = "required")]
    source_uid: String,
    #[serde(deserialize_with = "required")]
    target_uid: String,
    #[serde(default, deserialize_with = "text")]
    sourcehost: Option<String>,
    #[serde(default, deserialize_with = "port")]
    sourceport: Option<u16>,
    #[serde(default, deserialize_with = "text")]
    email: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    password: Option<SecretString>,
    #[serde(default, deserialize_with = "text")]
    container: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    imapc_options: Vec<String>,
    #[serde(default)]
    use_imapc_ssl: Option<ImapcSsl>,
    #[serde(default, deserialize_with = "texts")]
    exclude_folders: Vec<String>,
    #[serde(default, rename = "target")]
    _target: IgnoredAny,
    #[serde(default, rename = "phase")]
    _phase: IgnoredAny,
    #[serde(default, rename = "priority")]
    _priority: IgnoredAny,
    #[serde(default, rename = "force")]
    _force: IgnoredAny,
    #[serde(default, rename = "notBefore")]
    _not_before: IgnoredAny,
}

/// A text; numbers are taken as they are written, null as nothing. No error repeats a value: it may be a password.
struct Text;

impl Visitor<'_> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Text)
}

fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer)?.filter(|text| !text.is_empty()).ok_or_else(|| D::Error::custom("must not be empty"))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(text(deserializer)?.map(SecretString::from))
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let Some(text) = text(deserializer)? else { return Ok(None) };
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(D::Error::custom("sourceport must be a port from 1 to 65535")),
    }
}

/// A list of texts, or one text.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = items.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_any(Texts)
}

impl UserFile {
    /// The password, if the file has one.
    pub(super) fn password(&self) -> Option<SecretString> {
        self.password.clone()
    }

    /// The migration that this user would have; or what is wrong with the name of its Source.
    pub(super) fn into_claimed(self) -> Result<Claimed, String> {
        let name = self.source.as_deref().unwrap_or("default").parse();
        let name = name.map_err(|error| format!("source: {error}"))?;
        let source = Source { id: SourceId(0), name, paused: false };
        let definition = NewSourcehost {
            name: self.sourcehost.unwrap_or_default(),
            port: None,
            max_connections: 1,
            reserved_for_priority: 0,
            migration_command1: Command::named("ignore"),
            migration_command2: None,
            status_command: None,
        };
        let host = Sourcehost {
            id: HostId(0),
            source: source.id,
            definition,
            paused: false,
            suspended_until: None,
            suspended_reason: None,
        };
        let imapc_options = match &self.imapc_options[..] {
            [one] => split_imapc_options(one),
            all => all.to_vec(),
        };
        let user = User {
            id: UserId(0),
            source_uid: self.source_uid,
            target_uid: self.target_uid,
            target: TargetId(0),
            sourcehost: host.id,
            sourceport: self.sourceport,
            email: self.email,
            password: None,
            container: self.container,
            imapc_options,
            use_imapc_ssl: self.use_imapc_ssl,
            exclude_folders: self.exclude_folders,
        };
        Ok(claimed(source, host, user))
    }
}

fn claimed(source: Source, host: Sourcehost, user: User) -> Claimed {
    Claimed {
        job: JobId { source: source.id, journal: JournalId(0) },
        epoch: Epoch(0),
        source,
        user,
        host,
        phase: Phase::PreSync,
        priority: false,
        forced: false,
        attempt: 0,
        losses: 0,
        pre_started: false,
        post_started: false,
        cleanup: None,
        blocks: Vec::new(),
        carried: None,
        age_ms: 0,
        waited_ms: 0,
        queued_ms: 0,
        trace: None,
    }
}
