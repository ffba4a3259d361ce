use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::account::Account;
use crate::error::{Doing as _, Error, Result};
use crate::mail::MailboxTruth;
use crate::mail::mutf7;

/// The keywords behind the letters a, b and c in file names.
const KEYWORDS: &str = "0 $Forwarded\n1 NonJunk\n2 $Label1\n";

/// Writes Maildir++ as Dovecot's `maildir` storage has it: INBOX at the top, `.Parent.Child` beside it.
#[derive(Debug)]
pub(crate) struct Maildir<'a> {
    root: PathBuf,
    owner: &'a Account,
}

impl<'a> Maildir<'a> {
    pub(crate) fn new(root: PathBuf, owner: &'a Account) -> Self {
        Self { root, owner }
    }

    /// Makes INBOX and these mailboxes, where they do not exist, and subscribes to them.
    pub(crate) fn create(&self, names: &[&str]) -> Result<()> {
        self.create_one(&self.root)?;
        for name in names {
            let dir = self.dir(name)?;
            if !dir.exists() {
                self.create_one(&dir)?;
                self.owner.write(&dir.join("maildirfolder"), "")?;
            }
        }
        if names.is_empty() { Ok(()) } else { self.subscribe(names) }
    }

    /// Writes one message. Those with `flags` have been seen by a client and lie in `cur`, others in `new`.
    /// With `sizes` the file name holds them, so that Dovecot need not read the file to know.
    pub(super) fn deliver(
        &self,
        mailbox: &str,
        base: &str,
        received: u64,
        content: &[u8],
        flags: Option<&str>,
        sizes: Option<MailboxTruth>,
    ) -> Result<()> {
        let dir = self.dir(mailbox)?;
        let name = match sizes {
            Some(MailboxTruth { bytes, vsize, .. }) => format!("{base}.lab,S={bytes},W={vsize}"),
            None => format!("{base}.lab"),
        };
        let unfinished = dir.join("tmp").join(&name);
        let finished = match flags {
            Some(flags) => dir.join("cur").join(format!("{name}:2,{flags}")),
            None => dir.join("new").join(&name),
        };
        write_dated(&unfinished, content, received).doing(|| format!("write {}", unfinished.display()))?;
        self.owner.own(&unfinished)?;
        fs::rename(&unfinished, &finished).doing(|| format!("rename {}", unfinished.display()))
    }

    fn create_one(&self, dir: &Path) -> Result<()> {
        for part in ["", "cur", "new", "tmp"] {
            self.owner.create_dir(&dir.join(part))?;
        }
        let keywords = dir.join("dovecot-keywords");
        if keywords.exists() { Ok(()) } else { self.owner.write(&keywords, KEYWORDS) }
    }

    fn subscribe(&self, names: &[&str]) -> Result<()> {
        let file = self.root.join("subscriptions");
        let mut text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(_) => "V\t2\n\n".into(),
        };
        for name in names {
            let line = name.split('/').map(mutf7::encode).collect::<Vec<_>>().join("\t");
            if !text.lines().any(|l| l == line) {
                text += &line;
                text.push('\n');
            }
        }
        self.owner.write(&file, text)
    }

    fn dir(&self, mailbox: &str) -> Result<PathBuf> {
        if mailbox == "INBOX" {
            return Ok(self.root.clone());
        }
        // Maildir++ has the dot as its separator.
        if mailbox.is_empty() || mailbox.contains(|c: char| c == '.' || c.is_control()) {
            return Err(Error::Name(mailbox.into()));
        }
        Ok(self.root.join(format!(".{}", mutf7::encode(mailbox).replace('/', "."))))
    }
}

/// A message's time of arrival is its file's time of change.
fn write_dated(path: &Path, content: &[u8], received: u64) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    let time = UNIX_EPOCH + Duration::from_secs(received);
    file.set_times(FileTimes::new().set_modified(time).set_accessed(time))
}
