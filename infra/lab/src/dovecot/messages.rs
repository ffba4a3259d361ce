use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What doveadm is asked for. Its json cuts characters in long texts, so the pager format it is: a line for each
/// field, the text last, and a form feed between messages.
pub(super) const FETCH: [&str; 3] = ["-f", "pager", "fetch"];
/// The fields, in order.
pub(super) const FIELDS: &str = "mailbox flags date.received text";
const BETWEEN: &[u8] = b"\x0c\nmailbox: ";

/// What a move must leave as it is: a message's flags and keywords, its time of receipt and its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// As Dovecot prints it.
    pub received: String,
    /// Flags and keywords, without `\Recent`, which says who looked first.
    pub flags: BTreeSet<String>,
    /// Hash of headers and body, with every line end as LF.
    pub text: u64,
}

/// All messages by mailbox, in an order that is the same on source and target. `None` when this is not what
/// doveadm prints.
pub(super) fn parse(pages: &[u8]) -> Option<BTreeMap<String, Vec<Message>>> {
    let mut mailboxes = BTreeMap::<String, Vec<Message>>::new();
    if pages.is_empty() {
        return Some(mailboxes);
    }
    let mut rest = pages.strip_prefix(b"mailbox: ")?;
    loop {
        let end = rest.windows(BETWEEN.len()).position(|part| part == BETWEEN);
        let (mailbox, message) = parse_page(&rest[..end.unwrap_or(rest.len())])?;
        mailboxes.entry(mailbox).or_default().push(message);
        match end {
            Some(end) => rest = &rest[end + BETWEEN.len()..],
            None => break,
        }
    }
    for messages in mailboxes.values_mut() {
        messages.sort();
    }
    Some(mailboxes)
}

fn parse_page(page: &[u8]) -> Option<(String, Message)> {
    let mut parts = page.splitn(4, |byte| *byte == b'\n');
    let mut line = || Some(String::from_utf8_lossy(parts.next()?).into_owned());
    let (mailbox, flags, received) = (line()?, line()?, line()?);
    let flags = flags.strip_prefix("flags: ")?.split_whitespace().filter(|flag| *flag != "\\Recent");
    let received = received.strip_prefix("date.received: ")?.to_owned();
    let text = parts.next()?.strip_prefix(b"text:\n")?;
    Some((mailbox, Message { received, flags: flags.map(str::to_owned).collect(), text: hash(text) }))
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in text.trim_ascii_end().split(|byte| *byte == b'\n') {
        line.strip_suffix(b"\r").unwrap_or(line).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn page(flags: &str, text: &str) -> String {
        format!("mailbox: INBOX\nflags: {flags}\ndate.received: 2017-07-14 04:45:25\ntext:\n{text}")
    }

    #[test]
    fn flags_and_content_count_line_ends_and_recent_do_not() {
        let one = parse(page("\\Seen \\Recent $Label", "a\r\nb\r\n").as_bytes());
        assert!(one.is_some());
        assert_eq!(one, parse(page("$Label \\Seen", "a\nb\n").as_bytes()));
        assert_ne!(one, parse(page("\\Seen", "a\nb\n").as_bytes()));
        assert_ne!(one, parse(page("\\Seen $Label", "a\nc\n").as_bytes()));
        assert_eq!(parse(b"nonsense"), None);
    }

    #[test]
    fn every_message_is_seen() {
        let pages = format!("{}\x0c\n{}\x0c\n{}", page("", "a"), page("\\Seen", "b\n"), page("", "c"));
        assert_eq!(parse(pages.as_bytes()).unwrap()["INBOX"].len(), 3);
        assert!(parse(b"").unwrap().is_empty());
    }
}
