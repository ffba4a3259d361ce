/// Which mailboxes a user gets beside INBOX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folders {
    /// None.
    Inbox,
    /// What most users have: the usual folders, an archive by year, one name in another language.
    Normal,
    /// Names that break careless programs, but that Dovecot 2.3 stores and migrates faithfully: quotes,
    /// backslashes, wildcards, other scripts, parts of log lines, spaces at the end, twins in upper case.
    /// A `%` is not among them, with which every dsync ends with 2, nor a mailbox whose parent does not exist:
    /// dsync makes the parent.
    Odd,
}

const NORMAL: [&str; 10] = [
    "Sent",
    "Drafts",
    "Trash",
    "Junk",
    "Archive",
    "Archive/2021",
    "Archive/2022",
    "Projects/Move to new office",
    "Gelöschte Elemente",
    "Notes",
];

const ODD: [&str; 28] = [
    "Archive",
    "Archive/Old",
    "Archive/Old/Even older",
    "Archive/Old/Even older/Oldest",
    "Nothing here",
    "Nothing here/Nor there",
    "INBOX/Below",
    "INBOX/Below/Größe",
    "Two  spaces",
    "Space at the end ",
    "Say \"hello\"",
    "It's mine",
    "C:\\Mail\\Old",
    "Q&A + more",
    "What*ever?",
    "[brackets] (parens) {braces} <angles>",
    "a, b; c=d: e",
    "copy: box=INBOX, uid=7",
    "#shared",
    "-dashed",
    "$HOME `id`",
    "case",
    "CASE",
    "会議",
    "会議/議事録",
    "Письма",
    "Party 🎉",
    "A name that is long enough to be cut short wherever names are cut short in a log",
];

impl Folders {
    /// All mailboxes but INBOX, parents before their children.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Inbox => &[],
            Self::Normal => &NORMAL,
            Self::Odd => &ODD,
        }
    }

    /// The mailboxes beside INBOX that get mail; some always stay empty.
    pub(super) fn filled(self) -> Vec<&'static str> {
        let stays_empty = |name: &str| name.starts_with("Nothing") || name == "Notes";
        self.names().iter().copied().filter(|name| !stays_empty(name)).collect()
    }
}
