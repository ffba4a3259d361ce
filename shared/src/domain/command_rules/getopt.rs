//! Reading options as doveadm does: short ones, clustered or not, up to the first word without a hyphen. `backup`
//! and `sync` stop there; `mailbox status` looks for options among its words too.

use super::call::Token;

/// Which short options a command of doveadm has.
pub(super) struct Syntax {
    /// Letters without a value.
    pub(super) flags: &'static str,
    /// Letters with a value.
    pub(super) valued: &'static str,
    /// Whether doveadm takes options behind the first word: then no word may begin with a hyphen.
    pub(super) permutes: bool,
}

/// `backup` and `sync`.
pub(super) const DSYNC: Syntax = Syntax { flags: "1dfNPRUAE", valued: "aglmnrsteOITuxSF", permutes: false };
/// `mailbox status`.
pub(super) const STATUS: Syntax = Syntax { flags: "At", valued: "uSF", permutes: true };

/// One option as it was given.
pub(super) struct Given<'t> {
    pub(super) letter: char,
    pub(super) value: Option<&'t str>,
    pub(super) token: &'t Token,
}

/// What was read.
pub(super) struct Reading<'t> {
    pub(super) options: Vec<Given<'t>>,
    /// What is left from the first word without a hyphen on.
    pub(super) words: &'t [Token],
    /// A token that can't be read, and why.
    pub(super) fault: Option<(&'t Token, String)>,
}

impl<'t> Reading<'t> {
    pub(super) fn has(&self, letter: char) -> bool {
        self.options.iter().any(|option| option.letter == letter)
    }

    pub(super) fn all(&self, letter: char) -> impl Iterator<Item = &Given<'t>> {
        self.options.iter().filter(move |option| option.letter == letter)
    }
}

pub(super) fn read<'t>(tokens: &'t [Token], syntax: &Syntax) -> Reading<'t> {
    let mut reading = Reading { options: Vec::new(), words: &[], fault: None };
    let mut rest = tokens;
    while let [token, after @ ..] = rest {
        // An injected value whose beginning is not known is taken for a word.
        if !token.text.starts_with('-') || token.text == "-" {
            break;
        }
        if token.text.starts_with("--") {
            reading.fault =
                Some((token, "long options and -- are not taken: write the short form".to_owned()));
            return reading;
        }
        rest = after;
        for (at, letter) in token.text[1..].char_indices() {
            if syntax.flags.contains(letter) {
                reading.options.push(Given { letter, value: None, token });
            } else if syntax.valued.contains(letter) {
                let inline = &token.text[1 + at + letter.len_utf8()..];
                let value = if inline.is_empty() {
                    let Some((next, after)) = rest.split_first() else {
                        reading.fault = Some((token, format!("the option -{letter} needs a value")));
                        return reading;
                    };
                    rest = after;
                    next.text.as_str()
                } else {
                    inline
                };
                reading.options.push(Given { letter, value: Some(value), token });
                break;
            } else {
                reading.fault = Some((token, format!("unknown option -{letter}")));
                return reading;
            }
        }
    }
    reading.words = rest;
    let late =
        rest.iter().find(|token| syntax.permutes && token.text.len() > 1 && token.text.starts_with('-'));
    reading.fault = late.map(|token| {
        let message = "begins with a hyphen, which doveadm takes for an option wherever it stands: options go before the words, and a mailbox so named can be reached with a mask";
        (token, message.to_owned())
    });
    reading
}
