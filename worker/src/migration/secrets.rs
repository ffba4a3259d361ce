//! The passwords of one migration, kept so that they can be taken out of whatever a program says.

use dmf_shared::domain::command::HIDDEN;
use secrecy::{ExposeSecret as _, SecretString};

/// Values that nothing that is stored or logged may hold.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Of these values; empty ones hide nothing.
    pub(super) fn new(values: impl IntoIterator<Item = SecretString>) -> Self {
        let mut values: Vec<_> =
            values.into_iter().filter(|value| !value.expose_secret().is_empty()).collect();
        // One may hold another: the longer one has to go first.
        values.sort_by_key(|value| std::cmp::Reverse(value.expose_secret().len()));
        Self(values)
    }

    /// The text with each of them replaced.
    pub(super) fn hide(&self, text: String) -> String {
        self.0.iter().map(SecretString::expose_secret).fold(text, |text, secret| {
            if text.contains(secret) { text.replace(secret, HIDDEN) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_hidden_the_longest_first() {
        let secrets = Secrets::new(["pw".into(), "".into(), "pw-longer".into()]);
        assert_eq!(secrets.hide("user pw, master pw-longer".to_owned()), "user <hidden>, master <hidden>");
        assert_eq!(Secrets::default().hide("pw".to_owned()), "pw");
    }
}
