use std::collections::HashMap;

use serde::Serialize;

/// One successful login, as the source's own log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    /// Whose mail was opened.
    pub user: String,
    /// Dovecot's name of the session.
    pub session: String,
    /// When, in microseconds since 1970.
    pub at_micros: u64,
    /// When the session ended, `None` while it is open.
    pub ended_micros: Option<u64>,
}

/// Reads the logins out of a source's log, in their order. Lines of another shape are skipped.
pub(super) fn parse(log: &str) -> Vec<Login> {
    // Two processes write the two lines of a session, and the end of a short one may come first.
    let mut logins = Vec::new();
    let mut ends = HashMap::new();
    for line in log.lines() {
        let Some((stamp, text)) = line.split_once(' ') else { continue };
        let Some(at_micros) = micros(stamp) else { continue };
        if let Some((user, session)) = login(text) {
            let (user, session) = (user.to_owned(), session.to_owned());
            logins.push(Login { user, session, at_micros, ended_micros: None });
        } else if let Some(session) = end(text) {
            ends.insert(session, at_micros);
        }
    }
    for login in &mut logins {
        login.ended_micros = ends.get(login.session.as_str()).map(|end| login.at_micros.max(*end));
    }
    logins
}

fn micros(stamp: &str) -> Option<u64> {
    let (secs, fraction) = stamp.split_once('.')?;
    Some(secs.parse::<u64>().ok()? * 1_000_000 + fraction.parse::<u64>().ok()?)
}

fn login(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("imap-login: Info: Login: user=<")?;
    let (user, rest) = rest.split_once(">, ")?;
    let (_, session) = rest.rsplit_once("session=<")?;
    Some((user, session.strip_suffix('>')?))
}

fn end(text: &str) -> Option<&str> {
    const ENDS: [&str; 4] = ["Disconnected", "Connection closed", "Logged out", "Server shutting down"];
    let rest = text.strip_prefix("imap(")?;
    let (who, what) = rest.split_once(">: Info: ")?;
    ENDS.iter().any(|end| what.starts_with(end)).then_some(())?;
    who.rsplit_once('<').map(|(_, session)| session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_their_ends_are_read() {
        let log = "\
1763918402.378597 master: Info: Dovecot v2.3.19.1 (9b53102964) starting up for imap
1763918402.443165 imap-login: Info: Login: user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, mpid=15317, secured, session=<Dh3ezfRgMot/AAAB>
1763918403.000001 imap-login: Info: Login: user=<b,o>b>, method=PLAIN, mpid=1, session=<second>
1763918402.477952 imap(alice)<15317><Dh3ezfRgMot/AAAB>: Info: Disconnected: Logged out in=1050 out=198971
1763918404.000001 imap(carol)<15318><third>: Info: Connection closed (No commands sent) in=0 out=404
1763918404.000002 imap-login: Info: Login: user=<carol>, method=PLAIN, mpid=15318, session=<third>
";
        let login = |user: &str, session: &str, at_micros, ended_micros| Login {
            user: user.into(),
            session: session.into(),
            at_micros,
            ended_micros,
        };
        assert_eq!(
            parse(log),
            [
                login("alice", "Dh3ezfRgMot/AAAB", 1_763_918_402_443_165, Some(1_763_918_402_477_952)),
                login("b,o>b", "second", 1_763_918_403_000_001, None),
                login("carol", "third", 1_763_918_404_000_002, Some(1_763_918_404_000_002)),
            ]
        );
    }
}
