//! Reading what `mailbox status` prints: json, tab, and the default form `NAME field=N field=N`.
//!
//! Header and all good rows come even when the run fails, so that whatever is there is read. Only json escapes:
//! in the others a mailbox name may hold tabs and line ends, so that rows are read from their right.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The counts of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxStatus {
    /// Its name; empty in the single row of a count with `-t`.
    #[serde(rename = "name")]
    pub mailbox: String,
    /// How many mails; `None` where not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Their sizes with CRLF line ends, in bytes; `None` where not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsize: Option<u64>,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusReport {
    /// In the order of the output.
    pub mailboxes: Vec<MailboxStatus>,
    /// False when something could not be read, such as an output that was cut off.
    pub complete: bool,
}

impl StatusReport {
    /// The mails of all mailboxes.
    pub fn messages(&self) -> u64 {
        self.mailboxes.iter().filter_map(|mailbox| mailbox.messages).fold(0, u64::saturating_add)
    }

    /// The bytes of all mailboxes.
    pub fn vsize(&self) -> u64 {
        self.mailboxes.iter().filter_map(|mailbox| mailbox.vsize).fold(0, u64::saturating_add)
    }
}

/// The fields that status knows.
const FIELDS: [&str; 13] = [
    "mailbox",
    "username",
    "messages",
    "recent",
    "uidnext",
    "uidvalidity",
    "unseen",
    "highestmodseq",
    "vsize",
    "guid",
    "firstsaved",
    "first_saved",
    "size",
];

/// Reads an output, whatever its form. Any bytes are taken.
pub fn parse(output: &[u8]) -> StatusReport {
    let text = String::from_utf8_lossy(output);
    let trimmed = text.trim_start();
    if trimmed.is_empty() {
        return StatusReport { mailboxes: Vec::new(), complete: true };
    }
    if trimmed == "[" || trimmed.starts_with("[]") || trimmed.starts_with("[{") {
        return parse_json(trimmed);
    }
    let header: Vec<&str> = text.lines().next().unwrap_or_default().split('\t').collect();
    if header.iter().all(|field| FIELDS.contains(field)) {
        parse_tab(&text, &header)
    } else {
        parse_flow(&text)
    }
}

/// Each object by itself, so that a cut list gives its whole rows.
fn parse_json(text: &str) -> StatusReport {
    let mut mailboxes = Vec::new();
    let mut objects = Objects { rest: text };
    let mut complete = true;
    for object in &mut objects {
        match serde_json::from_str::<Value>(object).ok().as_ref().and_then(row_of_json) {
            Some(row) => mailboxes.push(row),
            None => complete = false,
        }
    }
    complete &= objects.rest.trim_start_matches([',', '[', ' ']).trim() == "]";
    StatusReport { mailboxes, complete }
}

/// The objects of a flat list of objects.
struct Objects<'t> {
    rest: &'t str,
}

impl<'t> Iterator for Objects<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let start = self.rest.find('{')?;
        let object = &self.rest[start..];
        let (mut in_text, mut escaped) = (false, false);
        for (at, byte) in object.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'}' if !in_text => {
                    self.rest = &object[at + 1..];
                    return Some(&object[..=at]);
                }
                _ => {}
            }
        }
        self.rest = object;
        None
    }
}

fn row_of_json(object: &Value) -> Option<MailboxStatus> {
    let number = |field: &str| match object.get(field) {
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Number(number)) => number.as_u64(),
        _ => None,
    };
    let mailbox = object.get("mailbox").map_or(Some(""), Value::as_str)?;
    Some(MailboxStatus { mailbox: mailbox.to_owned(), messages: number("messages"), vsize: number("vsize") })
}

fn parse_tab(text: &str, header: &[&str]) -> StatusReport {
    let has_name = header.first() == Some(&"mailbox") || header.first() == Some(&"username");
    let names = header.iter().take_while(|field| matches!(**field, "mailbox" | "username")).count();
    let columns = &header[names..];
    let mut report = Rows::default();
    for line in text.split_inclusive('\n').skip(1) {
        report.add(line, |row| {
            let tails: Vec<&str> = row.rsplitn(columns.len() + 1, '\t').collect();
            let (name, values) = match (has_name, tails.len() == columns.len() + 1) {
                (true, true) => (tails[columns.len()], &tails[..columns.len()]),
                (false, false) if tails.len() == columns.len() => ("", tails.as_slice()),
                _ => return None,
            };
            let pairs = columns.iter().rev().zip(values).map(|(field, value)| (*field, *value));
            row_of(name, pairs)
        });
    }
    report.end()
}

fn parse_flow(text: &str) -> StatusReport {
    let mut report = Rows::default();
    for line in text.split_inclusive('\n') {
        report.add(line, |row| {
            let mut name = row;
            let mut pairs = Vec::new();
            while let Some((rest, last)) = name.rsplit_once(' ')
                && let Some((field, value)) = last.split_once('=')
                && FIELDS.contains(&field)
                && is_value(value)
            {
                pairs.push((field, value));
                name = rest;
            }
            if pairs.is_empty() { None } else { row_of(name, pairs.into_iter()) }
        });
    }
    report.end()
}

fn row_of<'t>(name: &str, pairs: impl Iterator<Item = (&'t str, &'t str)>) -> Option<MailboxStatus> {
    let mut row = MailboxStatus { mailbox: name.to_owned(), messages: None, vsize: None };
    for (field, value) in pairs {
        if !is_value(value) {
            return None;
        }
        match field {
            "messages" => row.messages = Some(value.parse().ok()?),
            "vsize" => row.vsize = Some(value.parse().ok()?),
            _ => {}
        }
    }
    Some(row)
}

/// A number, the hex digits of a guid, or the time of the first mail where there is none.
fn is_value(value: &str) -> bool {
    value == "never"
        || (!value.is_empty() && value.len() <= 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Rows of one or, where a name holds line ends, several lines.
#[derive(Default)]
struct Rows {
    mailboxes: Vec<MailboxStatus>,
    pending: String,
}

impl Rows {
    fn add(&mut self, line: &str, read: impl Fn(&str) -> Option<MailboxStatus>) {
        self.pending.push_str(line);
        let row = self.pending.strip_suffix('\n').unwrap_or(&self.pending);
        if let Some(row) = read(row) {
            self.mailboxes.push(row);
            self.pending.clear();
        }
    }

    fn end(self) -> StatusReport {
        StatusReport { complete: self.pending.trim().is_empty(), mailboxes: self.mailboxes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(output: &str) -> Vec<(String, Option<u64>, Option<u64>)> {
        parse(output.as_bytes())
            .mailboxes
            .into_iter()
            .map(|row| (row.mailbox, row.messages, row.vsize))
            .collect()
    }

    #[test]
    fn json_gives_names_as_they_are() {
        let output = r#"[{"mailbox":"Tab\there","messages":"0","vsize":"7"},{"mailbox":"a}\"{","messages":3,"vsize":4}]"#;
        assert_eq!(
            rows(output),
            [("Tab\there".into(), Some(0), Some(7)), ("a}\"{".into(), Some(3), Some(4))]
        );
        assert!(parse(output.as_bytes()).complete);
        assert_eq!(parse(b"[]\n"), StatusReport { mailboxes: vec![], complete: true });
        let cut = parse(&output.as_bytes()[..60]);
        assert_eq!((cut.mailboxes.len(), cut.complete), (1, false));
    }

    #[test]
    fn tab_is_read_from_the_right_and_over_line_ends() {
        let output =
            "mailbox\tmessages\tvsize\nTab\there\t0\t1\nNew\nline\t2\t3\nCr\rx\t4\t5\nINBOX\t5\t4539\n";
        assert_eq!(
            rows(output),
            [
                ("Tab\there".into(), Some(0), Some(1)),
                ("New\nline".into(), Some(2), Some(3)),
                ("Cr\rx".into(), Some(4), Some(5)),
                ("INBOX".into(), Some(5), Some(4539)),
            ]
        );
        assert_eq!(rows("mailbox\tmessages\nINBOX\t0\n"), [("INBOX".into(), Some(0), None)]);
        assert_eq!(rows("messages\tvsize\n12\t34\n"), [(String::new(), Some(12), Some(34))]);
        assert_eq!(rows("mailbox\tmessages\tvsize\n"), []);
        assert_eq!(
            rows("mailbox\tmessages\tvsize\tguid\nA\t1\t2\t0123456789abcdef0123456789abcdef\n"),
            [("A".into(), Some(1), Some(2))]
        );
        assert!(!parse(b"mailbox\tmessages\tvsize\nINBOX\t5").complete);
        assert_eq!(
            rows("mailbox\tmessages\tfirstsaved\nA\t0\tnever\nB\t1\t1732000000\n"),
            [("A".into(), Some(0), None), ("B".into(), Some(1), None)]
        );
    }

    #[test]
    fn the_default_form_is_read_too() {
        assert_eq!(
            rows("New\nline messages=0 vsize=7\n[{x messages=1 vsize=2\nINBOX messages=5\n"),
            [
                ("New\nline".into(), Some(0), Some(7)),
                ("[{x".into(), Some(1), Some(2)),
                ("INBOX".into(), Some(5), None)
            ]
        );
    }

    #[test]
    fn sums() {
        let report = parse(b"mailbox\tmessages\tvsize\nA\t1\t10\nB\t2\t20\n");
        assert_eq!((report.messages(), report.vsize()), (3, 30));
    }

    proptest! {
        #[test]
        fn never_panics(output in any::<Vec<u8>>()) {
            parse(&output);
            parse(&[b"[{".as_slice(), &output].concat());
            parse(&[b"mailbox\tmessages\tvsize\n".as_slice(), &output].concat());
        }

        #[test]
        fn any_name_survives_json(name in any::<String>(), messages in any::<u64>(), vsize in any::<u64>()) {
            let row = serde_json::json!({"mailbox": name, "messages": messages.to_string(), "vsize": vsize.to_string()});
            let report = parse(serde_json::json!([row, row]).to_string().as_bytes());
            prop_assert!(report.complete);
            prop_assert_eq!(&report.mailboxes[1], &MailboxStatus { mailbox: name, messages: Some(messages), vsize: Some(vsize) });
        }
    }
}
