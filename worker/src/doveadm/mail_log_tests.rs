use proptest::{collection::vec, prelude::*};

use super::*;

#[path = "mail_log_oracle.rs"]
mod oracle;

fn read(text: &str) -> StderrReading {
    let mut reader = StderrReader::new();
    reader.feed(text.as_bytes());
    reader.finish()
}

fn saved(line: &str) -> Vec<(String, u64)> {
    read(line).counts().saved.clone().into_iter().collect()
}

fn expunged(line: &str) -> Vec<(String, u64)> {
    read(line).counts().expunged.clone().into_iter().collect()
}

fn once(name: &str) -> Vec<(String, u64)> {
    vec![(name.to_owned(), 1)]
}

#[test]
fn names_may_hold_what_the_line_is_made_of() {
    for name in [
        "INBOX",
        "(paren) [br] {cu}",
        "box=INBOX, uid=1",
        ": box=",
        "a: box=a",
        "copy from x: box=y, uid=2",
        "equals=a, b: c",
        "trailing space ",
        "日本語/会議",
        "Mailbox x",
        ", uid=1, msgid=<x>",
        "",
    ] {
        assert_eq!(saved(&format!("dsync(u): Info: copy from {name}: box={name}, uid=7\n")), once(name));
        assert_eq!(saved(&format!("dsync(u): Info: save: box={name}, uid=7")), once(name));
        assert_eq!(
            expunged(&format!("Nov 23 16:34:35 dsync(u): Info: expunge: box={name}, uid=4294967295")),
            once(name)
        );
        let v24 = format!("dsync(u)<1><x>: Info: Mailbox {name}: copy from {name}: box={name}, uid=7\n");
        assert_eq!(saved(&v24), once(name), "{v24}");
        assert_eq!(
            expunged(&format!("dsync(u): Info: Mailbox {name}: expunge: box={name}, uid=7\n")),
            once(name)
        );
    }
}

#[test]
fn long_and_odd_names_are_told_whole_where_the_line_has_them() {
    let long = "ä".repeat(50);
    let shown = format!("{}...", "ä".repeat(30));
    let v24 = format!("dsync(u): Info: Mailbox {long}: copy from {shown}: box={shown}, uid=7\n");
    assert_eq!(saved(&v24), once(&long));
    let mut counts =
        read(&format!("dsync(u): Info: copy from {shown}: box={shown}, uid=7\n")).counts().clone();
    assert_eq!(counts.saved.len(), 1);
    counts.restore_names(&["INBOX", long.as_str(), "ä"].into_iter());
    assert_eq!(counts.saved.get(&long), Some(&1));

    let mut two = read("dsync(u): Info: expunge: box=New?line, uid=7\n").counts().clone();
    two.restore_names(&["New\nline", "New\tline"].into_iter());
    assert_eq!(two.expunged.get("New?line"), Some(&1), "two mailboxes fit: neither is guessed");
    two.restore_names(&["New\nline", "New"].into_iter());
    assert_eq!(two.expunged.get("New\nline"), Some(&1));
}

#[test]
fn other_fields_are_understood() {
    assert_eq!(
        saved("dsync(a): Info: Mailbox INBOX: copy from INBOX: uid=1, msgid=<1.a@b>, size=666"),
        once("INBOX")
    );
    assert_eq!(
        saved("dsync(a): Info: copy from INBOX: box=INBOX, uid=1, msgid=<x>, size=666"),
        once("INBOX")
    );
    assert_eq!(saved("dsync(a): Info: copy from Sent: box=INBOX/Sent, uid=error"), once("INBOX/Sent"));
    assert_eq!(expunged("dsync(a): Info: expunge: uid=1, msgid=<x>, size=666"), once(OTHER));
    assert_eq!(expunged("dsync(a): Info: Mailbox Sent: autoexpunge: uid=1"), once("Sent"));
}

#[test]
fn other_lines_count_nothing() {
    for line in [
        "dsync(a): Info: Mailbox created: copy from x",
        "dsync(a): Info: Mailbox deleted: Spam",
        "dsync(a): Debug: copy from INBOX: box=INBOX, uid=1",
        "dsync(a): Error: copy from INBOX: box=INBOX, uid=1",
        "dsync(a): Info: flag_change: box=INBOX, uid=1",
        "dsync(a): Info: delete: box=INBOX, uid=1",
        "dsync(a): Info: copy from INBOX: box=INBOX, uid=",
        "dsync(a): Info: imapc(127.0.0.1:11143): Connected to 127.0.0.1:11143 (local 127.0.0.1:1)",
    ] {
        assert_eq!(read(line).counts(), &MailCounts::default(), "{line}");
    }
}

#[test]
fn the_last_errors_are_kept_short_and_without_logins() {
    let numbered = (0..50).map(|number| format!("dsync(a): Error: number {number} {}\n", "x".repeat(5000)));
    let mut text: String = numbered.collect();
    text.push_str("dsync(a): Error: imapc(h:1): Command '1 LOGIN a secret' failed with BAD: 1 no\n");
    text.push_str("dsync(a): Panic: file x\ndsync(a): Error: Raw backtrace: #0 x\n");
    let reading = read(&text);
    let errors: Vec<&str> = reading.errors().collect();
    assert_eq!(errors.len(), KEPT_ERRORS);
    assert!(
        errors
            .iter()
            .all(|line| line.len() <= 1024 && !line.contains("secret") && !line.contains("backtrace"))
    );
    assert!(errors[0].contains("number 32"));
    assert_eq!(errors[19], "dsync(a): Panic: file x");
}

#[test]
fn an_overlong_line_takes_no_memory_and_the_next_one_is_read() {
    let mut reader = StderrReader::new();
    for _ in 0..10_000 {
        reader.feed(&[b'x'; 1000]);
    }
    assert!(reader.line.len() <= MAX_LINE);
    reader.feed(b"\r\ndsync(a): Info: expunge: box=A, uid=1\r\n");
    assert_eq!(reader.so_far().counts().total_expunged(), 1);
}

#[test]
fn attempts_add_up() {
    let mut sum = read("dsync(a): Info: save: box=A, uid=1").counts().clone();
    sum.add(read("dsync(a): Info: save: box=A, uid=2\ndsync(a): Info: expunge: box=B, uid=2").counts());
    assert_eq!((sum.saved["A"], sum.total_saved(), sum.total_expunged()), (2, 2, 1));
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_read_the_same(pieces in vec(vec(any::<u8>(), 0..200), 0..20)) {
        let whole = pieces.concat();
        let mut reader = StderrReader::new();
        for piece in &pieces {
            reader.feed(piece);
        }
        let mut at_once = StderrReader::new();
        at_once.feed(&whole);
        let (pieced, at_once) = (reader.finish(), at_once.finish());
        prop_assert_eq!(pieced.counts(), at_once.counts());
        prop_assert!(pieced.errors().eq(at_once.errors()));
    }

    #[test]
    fn every_name_is_counted_as_it_is_shown(name in "[^\\p{C}]{0,15}", uid in 1u32..) {
        let line = format!("dsync(u): Info: copy from {name}: box={name}, uid={uid}\n");
        prop_assert_eq!(saved(&line), once(&name));
        let line = format!("dsync(u): Info: Mailbox {name}: expunge: box={name}, uid={uid}\n");
        prop_assert_eq!(expunged(&line), once(&name));
    }

    #[test]
    fn lines_made_of_our_words_never_panic(words in vec(prop::sample::select(vec![
        "dsync(a): Info: ", "Mailbox ", "copy from ", ": box=", "box=", ", uid=", "uid=", "1", ": ", "ä", "expunge:", " ", "msgid=", "..."
    ]), 0..20)) {
        read(&words.concat());
    }

    #[test]
    fn the_fast_reading_says_what_the_straightforward_one_does(
        words in vec(part_of_a_log(), 0..60), size in prop_oneof![1usize..200, Just(64 << 10)],
    ) {
        let log = words.concat();
        let mut reader = StderrReader::new();
        log.chunks(size).for_each(|piece| reader.feed(piece));
        prop_assert_eq!(format!("{:?}", reader.finish()), format!("{:?}", oracle::read(&log)));
        for line in String::from_utf8_lossy(&log).lines() {
            prop_assert_eq!(LogLine::parse(line), oracle::parse(line));
        }
    }
}

/// What lines are made of, what makes them long, and what is no text.
fn part_of_a_log() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "dsync(a): Info: ",
        "doveadm(u)<1><x>: Info: ",
        "Nov 23 16:34:35 dsync(a): Info: ",
        "dsync(a): Error: ",
        "Debug: ",
        "Info: ",
        "Warning: ",
        "Error: ",
        "Fatal: ",
        "Panic: ",
        "Raw backtrace:",
        "Mailbox ",
        "INBOX",
        "copy from ",
        "copy from INBOX: box=INBOX",
        "Mailbox A: copy from A: box=A, uid=7\n",
        "expunge: box=B, uid=4294967295\n",
        "save: box=",
        "expunge:",
        "autoexpunge: uid=1",
        ": box=",
        "box=",
        ", uid=",
        ": uid=",
        "uid=",
        "1",
        "12345678901",
        "error",
        ", msgid=<x>",
        ", size=2",
        ", ",
        ": ",
        ":",
        " ",
        "...",
        "ä",
        "imapc(h:1): Connected to h",
        "Authentication failed: no",
        "\n",
        "\r\n",
        "\r",
        "\n",
    ]);
    prop_oneof![
        40 => words.prop_map(|word| word.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 1..8),
        2 => (MAX_LINE - 60..MAX_LINE).prop_map(|length| {
            format!("\ndsync(a): Info: save: box={}, uid=1\n", "x".repeat(length)).into_bytes()
        }),
    ]
}
