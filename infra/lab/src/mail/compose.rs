use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::mail::rng::Rng;

const PEOPLE: [&str; 8] =
    ["Ada Berg", "Tomás Ibáñez", "Müller, Jörg", "Chloé", "佐藤 健", "Ольга", "\"Quoted\" Q", "postmaster"];
const WORDS: [&str; 24] = [
    "offer",
    "agenda",
    "signed",
    "contract",
    "Tuesday",
    "lunch",
    "backup",
    "answer",
    "please",
    "number",
    "question",
    "printer",
    "garden",
    "Anhang",
    "Straße",
    "früher",
    "déjà",
    "café",
    "mañana",
    "привет",
    "срочно",
    "明日",
    "報告",
    "👍",
];
const LINE: usize = 76;

/// What the body of a message is like, with how many of a hundred messages are so.
const KINDS: [(Kind, u64); 10] = [
    (Kind::Text, 55),
    (Kind::Alternative, 20),
    (Kind::Attachment, 10),
    (Kind::Forwarded, 3),
    (Kind::Empty, 3),
    (Kind::NoLineEnd, 2),
    (Kind::LongLines, 2),
    (Kind::FromAndDots, 2),
    (Kind::RawBytes, 2),
    (Kind::CarriageReturns, 1),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Alternative,
    Attachment,
    Forwarded,
    Empty,
    NoLineEnd,
    LongLines,
    FromAndDots,
    RawBytes,
    CarriageReturns,
}

/// Makes messages for one user.
#[derive(Debug)]
pub(super) struct Compose<'a> {
    user: &'a str,
    large_attachments: bool,
}

impl<'a> Compose<'a> {
    pub(super) fn new(user: &'a str, large_attachments: bool) -> Self {
        Self { user, large_attachments }
    }

    /// One whole message with bare line feeds, as Maildir holds it.
    pub(super) fn message(&self, rng: &mut Rng, serial: u64, received: u64) -> Vec<u8> {
        let mut message = self.head(rng, serial, received).into_bytes();
        message.extend(self.rest(rng));
        message
    }

    fn head(&self, rng: &mut Rng, serial: u64, received: u64) -> String {
        let user = self.user;
        let date = date(received);
        let relay = rng.below(5);
        let from = encoded_word(rng.pick(&PEOPLE));
        let sender = rng.below(100);
        let words: Vec<&str> = (0..4).map(|_| rng.pick(&WORDS)).collect();
        let subject = encoded_word(&words.join(" "));
        let mut head = format!(
            "Return-Path: <sender{sender}@example.org>\n\
             Received: from relay{relay}.example.net by mail.example.com; {date}\n\
             From: {from} <sender{sender}@example.org>\n\
             To: <{user}@example.com>\n\
             Subject: {subject} #{serial}\n"
        );
        if !rng.percent(1) {
            head.extend(["Date: ", &date, "\n"]);
        }
        // One in fifty has no Message-ID, one in fifty that of the message before it.
        let id = match rng.below(50) {
            0 => return head,
            1 => serial.saturating_sub(1),
            _ => serial,
        };
        head + &format!("Message-ID: <{id}.{user}@lab.example.org>\n")
    }

    /// The headers that tell the body's type, and the body.
    fn rest(&self, rng: &mut Rng) -> Vec<u8> {
        let text = text(rng, 20, 200);
        let plain = |body: &str| {
            format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}")
                .into_bytes()
        };
        match kind(rng) {
            Kind::Text => plain(&text),
            Kind::Alternative => alternative(&text).into_bytes(),
            Kind::Attachment => self.attachment(rng, &text).into_bytes(),
            Kind::Forwarded => format!(
                "MIME-Version: 1.0\nContent-Type: message/rfc822\n\n\
                 From: <inner@example.org>\nSubject: inner\nDate: {}\n\n{text}",
                date(0)
            )
            .into_bytes(),
            Kind::Empty => b"Content-Type: text/plain\n\n".to_vec(),
            Kind::NoLineEnd => plain(text.trim_end()),
            Kind::LongLines => plain(&format!("{}\n{}\n", "long ".repeat(600), text)),
            Kind::FromAndDots => plain(&format!(".\n..\nFrom the start\n>From here\n.hidden\n{text}.\n")),
            Kind::RawBytes => {
                let mut raw = b"Content-Type: text/plain; charset=windows-1252\n\n".to_vec();
                raw.extend_from_slice(b"caf\xe9 \x80 \xff\xfe not UTF-8\n");
                raw
            }
            Kind::CarriageReturns => plain(&text.replace('\n', "\r\n")),
        }
    }

    fn attachment(&self, rng: &mut Rng, text: &str) -> String {
        const SMALL: [usize; 3] = [1_000, 3_000, 8_000];
        const LARGE: [usize; 4] = [8_000, 30_000, 90_000, 300_000];
        let size = if self.large_attachments { rng.pick(&LARGE) } else { rng.pick(&SMALL) };
        let name = encoded_word("Überblick.pdf");
        let data = base64_lines(&rng.bytes(size));
        format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_mixed\"\n\n\
             --=_mixed\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\
             --=_mixed\nContent-Type: application/pdf; name=\"{name}\"\n\
             Content-Disposition: attachment; filename=\"{name}\"\nContent-Transfer-Encoding: base64\n\n\
             {data}--=_mixed--\n"
        )
    }
}

fn alternative(text: &str) -> String {
    let encoded = base64_lines(text.as_bytes());
    format!(
        "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"=_either\"\n\n\
         --=_either\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{encoded}\
         --=_either\nContent-Type: text/html; charset=utf-8\n\n<p>{text}</p>\n--=_either--\n"
    )
}

fn kind(rng: &mut Rng) -> Kind {
    let total: u64 = KINDS.iter().map(|(_, share)| share).sum();
    let mut left = rng.below(total);
    for (kind, share) in KINDS {
        if left < share {
            return kind;
        }
        left -= share;
    }
    Kind::Text
}

/// Between so many and so many words, broken into lines.
fn text(rng: &mut Rng, least: u64, most: u64) -> String {
    let mut text = String::new();
    for i in 1..=least + rng.below(most - least) {
        text += rng.pick(&WORDS);
        text.push(if i % 10 == 0 { '\n' } else { ' ' });
    }
    text.push('\n');
    text
}

/// A header value as RFC 2047 wants it when it is not ASCII.
fn encoded_word(text: &str) -> String {
    if text.is_ascii() {
        return text.into();
    }
    format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(text))
}

fn base64_lines(data: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(data);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    for (i, c) in encoded.chars().enumerate() {
        if i > 0 && i % LINE == 0 {
            lines.push('\n');
        }
        lines.push(c);
    }
    lines.push('\n');
    lines
}

/// A date of RFC 5322 in UTC.
fn date(unix_secs: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, secs) = (unix_secs / 86_400, unix_secs % 86_400);
    // Days since 1 March of the year 0, so that the leap day is a year's last ("days from civil" reversed).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let index = |i: u64| usize::try_from(i).unwrap_or(0);
    format!(
        "{}, {day} {} {year} {:02}:{:02}:{:02} +0000",
        DAYS[index(days % 7)],
        MONTHS[index(month)],
        secs / 3600,
        secs / 60 % 60,
        secs % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        let cases = [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 +0000"),
            (1_500_000_000, "Fri, 14 Jul 2017 02:40:00 +0000"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 +0000"),
        ];
        for (secs, text) in cases {
            assert_eq!(date(secs), text);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_message() {
        let make = |seed| Compose::new("alice", true).message(&mut Rng::new(seed, "alice"), 3, 1_500_000_000);
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }
}
