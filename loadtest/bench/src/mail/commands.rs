//! The commands that a worker ran for a user, as a script that runs them for any.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What stands in a record in the place of a password.
const HIDDEN: &str = "<hidden>";
/// The setting whose value goes by standard input, as the worker does it.
const PASSWORD: &str = "imapc_password=<hidden>";
/// The configuration on standard input.
const STDIN_CONFIG: &str = "/proc/self/fd/0";

/// What a worker did for one user.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    /// Name of the user that the lines were made for.
    user: String,
    /// Name of the step, and the argv, passwords hidden.
    steps: Vec<(String, Vec<String>)>,
}

impl Commands {
    /// From the details of a record of a user whose name is in no other word.
    pub(super) fn of_record(user: &str, record: &Value) -> Result<Self> {
        let blocks = record["details"].as_array().context("the record has no details")?;
        let mut steps = Vec::new();
        for (step, block) in blocks.iter().filter_map(Value::as_object).flatten() {
            if let Some(line) = block["command"].as_str() {
                steps.push((step.clone(), words(line).with_context(|| line.to_owned())?));
            }
        }
        ensure!(!steps.is_empty(), "the record tells of no command: {record}");
        Ok(Self { user: user.to_owned(), steps })
    }

    /// The one that copies.
    pub(super) fn sync_alone(&self) -> Self {
        let mut alone = self.clone();
        alone.steps.retain(|(step, _)| step == "dsync");
        alone
    }

    /// For people: each step with its command, the user as `USER`, without the settings file's path.
    pub(super) fn shown(&self) -> Vec<String> {
        let show = |(step, items): &(String, Vec<String>)| {
            let mut items = items.iter().map(|item| item.replace(&self.user, "USER"));
            let mut line = String::new();
            while let Some(item) = items.next() {
                let item =
                    if item == "-c" { items.next().map(|_| "-c CONFIG".to_owned()) } else { Some(item) };
                line.extend([" ", &item.unwrap_or_default()]);
            }
            format!("{step}: `{}`", line.trim_start())
        };
        self.steps.iter().map(show).collect()
    }

    /// A script for sh that runs the same for the user in `$1` and ends at the first one that fails. `secret` is the
    /// file that doveadm gets on standard input.
    pub(super) fn script(&self, secret: &str) -> Result<String> {
        let mut script = "set -eu\n".to_owned();
        for (step, items) in &self.steps {
            let line = self.line(items, secret).with_context(|| step.clone())?;
            // Writing to a String can't fail.
            let _ = writeln!(script, "{line}");
        }
        Ok(script)
    }

    fn line(&self, items: &[String], secret: &str) -> Result<String> {
        let mut items = items.to_vec();
        let mut input = String::new();
        if let Some(at) = items.iter().position(|item| item == PASSWORD) {
            ensure!(at > 0 && items[at - 1] == "-o", "the password is no setting");
            items.drain(at - 1..=at);
            let config = items.iter().position(|item| item == "-c").context("there is no configuration")?;
            STDIN_CONFIG.clone_into(items.get_mut(config + 1).context("-c has no value")?);
            input = format!(" <{}", quote(secret));
        }
        ensure!(!items.iter().any(|item| item.contains(HIDDEN)), "another password is hidden");
        let shown: Vec<String> = items.iter().map(|item| self.for_any_user(item)).collect();
        Ok(format!("{}{input} >/dev/null 2>&1", shown.join(" ")))
    }

    /// A word of the shell with `$1` where the user stood.
    fn for_any_user(&self, item: &str) -> String {
        let parts =
            item.split(&self.user).map(|part| if part.is_empty() { String::new() } else { quote(part) });
        let word = parts.collect::<Vec<_>>().join("\"$1\"");
        if word.is_empty() { "''".to_owned() } else { word }
    }
}

/// A text as one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The words of a command as a record shows it: in double quotes where they hold blanks.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        while letters.next_if_eq(&' ').is_some() {}
        let Some(first) = letters.peek().copied() else { return Ok(words) };
        let mut word = String::new();
        if first == '"' {
            letters.next();
            loop {
                match letters.next().context("a quote is not closed")? {
                    '"' => break,
                    '\\' => match letters.next() {
                        Some(letter @ ('"' | '\\')) => word.push(letter),
                        other => bail!("an escape that is not known: {other:?}"),
                    },
                    letter => word.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != ' ') {
                word.push(letter);
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn commands() -> Commands {
        let record = json!({ "details": [
            { "count local mailbox pre sync": {
                "command": r#"/usr/bin/doveadm -c /t.conf -f json mailbox status -u probe "messages vsize" INBOX/* INBOX *"#,
            } },
            { "target guard": { "success": true } },
            { "dsync": {
                "command": r#"/usr/bin/doveadm -c /t.conf -o imapc_user=probe -o imapc_password=<hidden> -o "x=a\"b\\c" backup -R -u probe imapc:"#,
            } },
        ] });
        Commands::of_record("probe", &record).unwrap()
    }

    #[test]
    fn the_script_runs_what_ran_for_any_user() {
        assert_eq!(
            commands().script("/s.conf").unwrap(),
            "set -eu\n\
             '/usr/bin/doveadm' '-c' '/t.conf' '-f' 'json' 'mailbox' 'status' '-u' \"$1\" 'messages vsize' 'INBOX/*' 'INBOX' '*' >/dev/null 2>&1\n\
             '/usr/bin/doveadm' '-c' '/proc/self/fd/0' '-o' 'imapc_user='\"$1\" '-o' 'x=a\"b\\c' 'backup' '-R' '-u' \"$1\" 'imapc:' <'/s.conf' >/dev/null 2>&1\n"
        );
    }

    #[test]
    fn the_sync_alone_is_one_command() {
        let shown = commands().sync_alone().shown();
        assert_eq!(
            shown,
            [
                r#"dsync: `/usr/bin/doveadm -c CONFIG -o imapc_user=USER -o imapc_password=<hidden> -o x=a"b\c backup -R -u USER imapc:`"#
            ]
        );
    }

    #[test]
    fn what_can_not_be_repeated_is_an_error() {
        let of = |command: &str| {
            Commands::of_record("u", &json!({ "details": [{ "dsync": { "command": command } }] }))
        };
        assert!(of("doveadm -o \"open").is_err());
        assert!(of("doveadm \"a\\nb\"").is_err());
        assert!(of("doveadm -o imapc_master_password=<hidden> x").unwrap().script("/s").is_err());
        assert!(of("doveadm -o imapc_password=<hidden> x").unwrap().script("/s").is_err());
        assert!(Commands::of_record("u", &json!({ "details": [] })).is_err());
    }
}
