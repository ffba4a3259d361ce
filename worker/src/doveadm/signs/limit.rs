//! Texts of servers that let in only so many.

/// True for the limit of connections, sessions or traffic; `text` in small letters.
pub(super) fn is_limit(text: &str) -> bool {
    const PLAIN: [&str; 10] = [
        "[limit]",
        "[throttled]",
        "[login-delay]",
        "simultaneous connections",
        "concurrent connections",
        "throttl",
        "bandwidth limit",
        "rate limit",
        "too many users",
        "user is authenticated but not connected",
    ];
    if PLAIN.iter().any(|word| text.contains(word)) {
        return true;
    }
    // What the server answered, without what we asked of it.
    let answer = text.rsplit("failed: ").next().unwrap_or(text);
    is_counted(answer) && !is_refused_too_often(text)
}

/// A server that counts wrong passwords: the next attempt makes it only worse.
pub(super) fn is_refused_too_often(text: &str) -> bool {
    const WRONG: [&str; 8] =
        ["failed", "failure", "invalid", "incorrect", "wrong", "bad login", "bad auth", "unsuccessful"];
    const OF_CONNECTIONS: [&str; 6] =
        ["connection", "connections", "session", "sessions", "simultaneous", "concurrent"];
    let answer = text.rsplit("failed: ").next().unwrap_or(text);
    let wrong = text.contains("[authenticationfailed]") || WRONG.iter().any(|word| answer.contains(word));
    let mut words = answer.split(|letter: char| !letter.is_ascii_alphanumeric());
    let counted = ["too many", "maximum", "max ", "exceed"].iter().any(|word| answer.contains(word))
        && ["attempt", "login", "logon", "auth", "failure"].iter().any(|word| answer.contains(word));
    wrong && counted && !words.any(|word| word == "rate" || OF_CONNECTIONS.contains(&word))
}

fn is_counted(answer: &str) -> bool {
    const OPENING: [&str; 6] =
        ["too many", "maximum number of", "max number of", "limit of", "limit on the number of", "number of"];
    const LIMITED: [&str; 9] = [
        "connection",
        "login",
        "logon",
        "session",
        "request",
        "simultaneous",
        "concurrent",
        "attempts",
        "clients",
    ];
    let names_limited = |words: &str| LIMITED.iter().any(|word| words.contains(word));
    let opened = |opening: &str| answer.split_once(opening).is_some_and(|(_, rest)| names_limited(rest));
    let exceeded = ["exceed", "reach", "limit hit"].iter().any(|word| answer.contains(word));
    OPENING[..3].iter().any(|opening| opened(opening))
        || (exceeded
            && (OPENING[3..].iter().any(|opening| opened(opening))
                || (names_limited(answer) && is_counted_out(answer))))
}

/// `connection limit exceeded`, `connections exceeded`, `maximum connections reached`.
fn is_counted_out(answer: &str) -> bool {
    ["limit", "max", "connections exceed", "connection count"].iter().any(|word| answer.contains(word))
}
