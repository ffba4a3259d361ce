use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A login comes in the first bytes of a connection; who sends more without one is not speaking IMAP.
const MAX_BYTES: usize = 64 * 1024;
/// Between the user's and the master user's name, as the source is configured.
const MASTER_SEPARATOR: char = '*';

/// Reads what an IMAP client sends until it has named its user.
#[derive(Debug, Default)]
pub(super) struct LoginReader {
    pending: Vec<u8>,
    read: usize,
    expects: Expects,
    is_done: bool,
}

/// What the next line is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expects {
    #[default]
    Command,
    /// The answer to AUTHENTICATE PLAIN.
    Plain,
    /// The first answer to AUTHENTICATE LOGIN.
    LoginName,
}

/// What came of looking at the pending bytes.
enum Found {
    User(String),
    /// A line or command of this length says nothing about the user.
    Skip(usize, Expects),
    /// The line or command is not complete.
    Incomplete,
}

impl LoginReader {
    /// Takes the next bytes; returns the user's name once, when these bytes complete it.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<String> {
        if self.is_done {
            return None;
        }
        self.read += bytes.len();
        self.pending.extend_from_slice(bytes);
        loop {
            match look(&self.pending, self.expects) {
                Found::User(user) => {
                    self.finish();
                    return Some(user);
                }
                Found::Skip(len, expects) => {
                    self.pending.drain(..len);
                    self.expects = expects;
                }
                Found::Incomplete => break,
            }
        }
        if self.read > MAX_BYTES {
            self.finish();
        }
        None
    }

    fn finish(&mut self) {
        self.is_done = true;
        self.pending = Vec::new();
    }
}

fn look(bytes: &[u8], expects: Expects) -> Found {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return Found::Incomplete };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let skip = |expects| Found::Skip(end + 1, expects);
    match expects {
        Expects::Command => command(bytes, line, end + 1),
        Expects::Plain => plain(line).map_or_else(|| skip(Expects::Command), Found::User),
        Expects::LoginName => {
            decode(line).map_or_else(|| skip(Expects::Command), |n| Found::User(without_master(&n)))
        }
    }
}

/// `all` begins with `line`, which takes `len` bytes with its end.
fn command(all: &[u8], line: &[u8], len: usize) -> Found {
    let mut words = line.splitn(4, |b| *b == b' ').skip(1);
    let (name, first, second) = (words.next().unwrap_or(b""), words.next(), words.next());
    if name.eq_ignore_ascii_case(b"AUTHENTICATE") {
        let expects = match first {
            Some(m) if m.eq_ignore_ascii_case(b"PLAIN") => Expects::Plain,
            Some(m) if m.eq_ignore_ascii_case(b"LOGIN") => Expects::LoginName,
            _ => Expects::Command,
        };
        // An initial response stands in the same line.
        return match second {
            Some(initial) => look(&[initial, b"\n"].concat(), expects).in_line(len),
            None => Found::Skip(len, expects),
        };
    }
    if name.eq_ignore_ascii_case(b"LOGIN")
        && let Some(at) = line.windows(6).position(|w| w.eq_ignore_ascii_case(b"LOGIN "))
    {
        return match astring(&all[at + 6..]) {
            Word::Is(user) => Found::User(without_master(&String::from_utf8_lossy(&user))),
            Word::Incomplete => Found::Incomplete,
            Word::Invalid => Found::Skip(len, Expects::Command),
        };
    }
    Found::Skip(len, Expects::Command)
}

impl Found {
    /// What was found in a part of a line, as a finding about the whole line.
    fn in_line(self, len: usize) -> Self {
        match self {
            Self::User(user) => Self::User(user),
            Self::Skip(..) | Self::Incomplete => Self::Skip(len, Expects::Command),
        }
    }
}

enum Word {
    Is(Vec<u8>),
    Incomplete,
    Invalid,
}

/// An atom, a quoted string or a literal at the beginning of the bytes (RFC 3501, `astring`).
fn astring(bytes: &[u8]) -> Word {
    match bytes.first() {
        None => Word::Incomplete,
        Some(b'"') => quoted(&bytes[1..]),
        Some(b'{') => literal(&bytes[1..]),
        Some(_) => match bytes.iter().position(|b| b" \r\n".contains(b)) {
            Some(0) => Word::Invalid,
            Some(end) => Word::Is(bytes[..end].to_vec()),
            None => Word::Incomplete,
        },
    }
}

fn quoted(bytes: &[u8]) -> Word {
    let mut text = Vec::new();
    let mut rest = bytes.iter();
    while let Some(b) = rest.next() {
        match b {
            b'"' => return Word::Is(text),
            b'\\' => text.extend(rest.next()),
            b'\r' | b'\n' => return Word::Invalid,
            other => text.push(*other),
        }
    }
    Word::Incomplete
}

fn literal(bytes: &[u8]) -> Word {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return Word::Incomplete };
    let size = String::from_utf8_lossy(&bytes[..end]);
    let size = size.trim_end().trim_end_matches('}').trim_end_matches('+').parse::<usize>();
    match size {
        Ok(size) if size <= MAX_BYTES => match bytes.get(end + 1..end + 1 + size) {
            Some(text) => Word::Is(text.to_vec()),
            None => Word::Incomplete,
        },
        Ok(_) | Err(_) => Word::Invalid,
    }
}

/// The user of a PLAIN response: whom to act for, else who logs in (RFC 4616).
fn plain(line: &[u8]) -> Option<String> {
    let text = decode(line)?;
    let mut parts = text.split('\0');
    let (acts_for, logs_in) = (parts.next()?, parts.next()?);
    Some(if acts_for.is_empty() { without_master(logs_in) } else { acts_for.to_owned() })
}

fn decode(line: &[u8]) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(line).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn without_master(name: &str) -> String {
    name.split(MASTER_SEPARATOR).next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the text whole and byte by byte; both must agree.
    fn user(text: &str) -> Option<String> {
        let whole = LoginReader::default().read(text.as_bytes());
        let mut reader = LoginReader::default();
        let pieces: Vec<String> = text.bytes().filter_map(|b| reader.read(&[b])).collect();
        assert!(pieces.len() <= 1, "named twice: {pieces:?}");
        assert_eq!(whole, pieces.first().cloned());
        whole
    }

    fn b64(text: &str) -> String {
        BASE64_STANDARD.encode(text)
    }

    #[test]
    fn login_is_understood_in_all_its_forms() {
        let cases = [
            ("a LOGIN alice secret\r\n", "alice"),
            ("1 CAPABILITY\r\n2 login alice secret\r\n", "alice"),
            ("a LOGIN \"al\\\"i\\\\ce x\" \"p\"\r\n", "al\"i\\ce x"),
            ("a LOGIN {5}\r\nalice {2}\r\npw\r\n", "alice"),
            ("a LOGIN {7+}\r\nali\r\nce \"pw\"\r\n", "ali\r\nce"),
            ("a LOGIN bob@example.com*master pw\r\n", "bob@example.com"),
        ];
        for (text, name) in cases {
            assert_eq!(user(text).as_deref(), Some(name), "{text:?}");
        }
    }

    #[test]
    fn authenticate_is_understood_with_and_without_initial_response() {
        let (own, master) = (b64("\0alice\0pw"), b64("bob\0master\0masterpw"));
        let cases = [
            (format!("a AUTHENTICATE PLAIN {own}\r\n"), "alice"),
            (format!("a authenticate plain {master}\r\n"), "bob"),
            (format!("a AUTHENTICATE PLAIN\r\n{master}\r\n"), "bob"),
            (format!("a AUTHENTICATE LOGIN\r\n{}\r\n{}\r\n", b64("alice"), b64("pw")), "alice"),
            (format!("a AUTHENTICATE PLAIN\r\n*\r\nb LOGIN carol pw\r\n{own}"), "carol"),
        ];
        for (text, name) in cases {
            assert_eq!(user(&text).as_deref(), Some(name), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_login_names_nobody_and_is_not_hoarded() {
        for text in [
            "",
            "\r\n\r\n",
            "a NOOP\r\n",
            "a LOGIN\r\n",
            "a LOGIN \r\n",
            "a LOGIN {99999999}\r\n",
            "PING\r\n",
        ] {
            assert_eq!(user(text), None, "{text:?}");
        }
        let mut reader = LoginReader::default();
        for _ in 0..100 {
            assert_eq!(reader.read(&[b'x'; 4096]), None);
        }
        assert!(reader.pending.is_empty() && reader.is_done);
    }
}
