//! Mail as it stands in a real source: nested folders, flags, keywords, attachments, odd names, messages without
//! an id or with another's. Everything follows from a seed and the user's name.

mod compose;
mod folders;
mod maildir;
mod mutf7;
mod rng;

use std::collections::BTreeMap;

use serde::Serialize;

pub use folders::Folders;
pub(crate) use maildir::Maildir;

use crate::dovecot::Count;
use crate::error::Result;
use compose::Compose;
use rng::Rng;

/// Times of seeded messages start here (2017-07-14), one an hour or so.
const FIRST_RECEIVED: u64 = 1_500_000_000;
/// Times of appended messages start here (2030-03-17), after all seeded ones.
const FIRST_APPENDED: u64 = 1_900_000_000;
const HOUR: u64 = 3600;
/// Upper-case letters are Maildir's flags, lower-case ones the keywords of `dovecot-keywords`; with how many of a
/// hundred messages have each. Maildir wants them in this order.
const FLAGS: [(char, u64); 8] =
    [('D', 1), ('F', 5), ('R', 30), ('S', 70), ('T', 1), ('a', 5), ('b', 3), ('c', 3)];

/// What mail a user gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    folders: Folders,
    messages: u64,
    variant: u64,
    attachments: bool,
}

impl Seed {
    /// So many messages over these folders, with small attachments only.
    pub fn new(folders: Folders, messages: u64) -> Self {
        Self { folders, messages, variant: 1, attachments: false }
    }

    /// Another variant is other mail of the same kind; it is 1 unless told.
    #[must_use]
    pub fn variant(mut self, variant: u64) -> Self {
        self.variant = variant;
        self
    }

    /// Adds attachments of up to 300 kB to some messages.
    #[must_use]
    pub fn large_attachments(mut self) -> Self {
        self.attachments = true;
        self
    }
}

/// What a mailbox really holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MailboxTruth {
    /// Number of messages.
    pub messages: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// Bytes with every line end as CRLF, which is what Dovecot and IMAP count.
    pub vsize: u64,
}

impl MailboxTruth {
    /// Counts further messages in.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.vsize += other.vsize;
    }
}

/// What a user was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seeded {
    /// The user's name on the source.
    pub user: String,
    /// Every mailbox by its full name, empty ones too.
    pub mailboxes: BTreeMap<String, MailboxTruth>,
}

impl Seeded {
    /// All mailboxes as `mailboxes()` of a source or target shows them when all is there.
    pub fn counts(&self) -> BTreeMap<String, Count> {
        let count = |t: &MailboxTruth| Count { messages: t.messages, vsize: t.vsize };
        self.mailboxes.iter().map(|(name, truth)| (name.clone(), count(truth))).collect()
    }

    /// Counts in what `SourceDovecot::append` added.
    pub fn add(&mut self, mailbox: &str, added: MailboxTruth) {
        self.mailboxes.entry(mailbox.into()).or_default().add(added);
    }

    /// Number of all messages.
    pub fn messages(&self) -> u64 {
        self.mailboxes.values().map(|t| t.messages).sum()
    }
}

/// Writes all mail of a new user.
pub(crate) fn write(maildir: &Maildir<'_>, user: &str, seed: &Seed) -> Result<Seeded> {
    let mut rng = Rng::new(seed.variant, user);
    let compose = Compose::new(user, seed.attachments);
    let mut mailboxes = BTreeMap::new();
    maildir.create(seed.folders.names())?;
    mailboxes.insert("INBOX".to_owned(), MailboxTruth::default());
    for name in seed.folders.names() {
        mailboxes.insert((*name).to_owned(), MailboxTruth::default());
    }
    let filled = seed.folders.filled();
    for serial in 0..seed.messages {
        let mailbox = if filled.is_empty() || rng.percent(50) { "INBOX" } else { rng.pick(&filled) };
        let received = FIRST_RECEIVED + serial * HOUR + rng.below(HOUR);
        let content = compose.message(&mut rng, serial, received);
        let flags: String = FLAGS.iter().filter(|(_, share)| rng.percent(*share)).map(|(f, _)| f).collect();
        let truth = truth(&content);
        let sizes = rng.percent(66).then_some(truth);
        maildir.deliver(
            mailbox,
            &format!("{received}.S{serial}"),
            received,
            &content,
            Some(&flags),
            sizes,
        )?;
        mailboxes.entry(mailbox.to_owned()).or_default().add(truth);
    }
    Ok(Seeded { user: user.into(), mailboxes })
}

/// Delivers new messages, numbered by `serials`, as a mail server does: unread, into `new`.
pub(crate) fn append(
    maildir: &Maildir<'_>,
    user: &str,
    mailbox: &str,
    serials: std::ops::Range<u64>,
) -> Result<MailboxTruth> {
    maildir.create(if mailbox == "INBOX" { &[] } else { std::slice::from_ref(&mailbox) })?;
    let mut rng = Rng::new(serials.start, user);
    let compose = Compose::new(user, false);
    let mut added = MailboxTruth::default();
    for serial in serials {
        let received = FIRST_APPENDED + serial * HOUR;
        let content = compose.message(&mut rng, serial, received);
        maildir.deliver(mailbox, &format!("{received}.A{serial}"), received, &content, None, None)?;
        added.add(truth(&content));
    }
    Ok(added)
}

fn truth(content: &[u8]) -> MailboxTruth {
    let bare =
        content.iter().enumerate().filter(|(i, b)| **b == b'\n' && (*i == 0 || content[i - 1] != b'\r'));
    let bytes = content.len() as u64;
    MailboxTruth { messages: 1, bytes, vsize: bytes + bare.count() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_that_counts_has_every_line_end_as_crlf() {
        assert_eq!(truth(b"a\nb\r\n\nc"), MailboxTruth { messages: 1, bytes: 7, vsize: 9 });
        assert_eq!(truth(b"\n"), MailboxTruth { messages: 1, bytes: 1, vsize: 2 });
    }
}
