//! From JSON to a command, or to every fault of its form.

use serde_json::{Map, Value};

use super::{Command, CommandOption, Fault, join};

/// How deep sub commands may nest, the outermost level included.
pub const MAX_DEPTH: usize = 8;
/// How many flags, options or arguments one level may have.
pub const MAX_ITEMS: usize = 256;
/// Longest single text of a command, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

const FIELDS: [&str; 6] = ["name", "successCode", "flags", "options", "arguments", "subCommand"];
const OPTION_FIELDS: [&str; 2] = ["name", "value"];

/// Reads a command, or tells all that is wrong with its form.
pub(super) fn command(value: &Value) -> Result<Command, Vec<Fault>> {
    let mut reader = Reader { faults: Vec::new() };
    match reader.command(value, "", 1) {
        Some(command) if reader.faults.is_empty() => Ok(command),
        _ => Err(reader.faults),
    }
}

/// Reads values and collects what is wrong with them.
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(path, message));
    }

    fn command(&mut self, value: &Value, path: &str, depth: usize) -> Option<Command> {
        let Value::Object(fields) = value else {
            self.fault(path, "must be an object with a name");
            return None;
        };
        if depth > MAX_DEPTH {
            self.fault(path, format!("commands nest at most {MAX_DEPTH} levels deep"));
            return None;
        }
        let found = self.fields(fields, &FIELDS, path);
        let name = self.required_text(found[0], &join(path, "name"));
        let success_code = found[1].and_then(|code| self.code(code, &join(path, "successCode")));
        let flags = self.texts(found[2], &join(path, "flags"));
        let options = self.options(found[3], &join(path, "options"));
        let arguments = self.texts(found[4], &join(path, "arguments"));
        let sub = found[5].and_then(|sub| self.command(sub, &join(path, "subCommand"), depth + 1));
        Some(Command { name: name?, success_code, flags, options, arguments, sub_command: sub.map(Box::new) })
    }

    /// The values of the `known` fields in their order; null counts as absent. Other fields are faults.
    fn fields<'v>(
        &mut self,
        fields: &'v Map<String, Value>,
        known: &[&str],
        path: &str,
    ) -> Vec<Option<&'v Value>> {
        let mut found = vec![None; known.len()];
        for (key, value) in fields {
            let Some(index) = known.iter().position(|name| camel(key) == **name) else {
                self.fault(&join(path, key), unknown_field(key, known));
                continue;
            };
            if found[index].is_some() {
                self.fault(&join(path, known[index]), "is given twice");
            } else if !value.is_null() {
                found[index] = Some(value);
            }
        }
        found
    }

    fn required_text(&mut self, value: Option<&Value>, path: &str) -> Option<String> {
        let Some(value) = value else {
            self.fault(path, "is required");
            return None;
        };
        let text = self.text(value, path)?;
        if text.is_empty() {
            self.fault(path, "must not be empty");
            return None;
        }
        Some(text)
    }

    fn text(&mut self, value: &Value, path: &str) -> Option<String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => {
                self.fault(path, "must be a text");
                return None;
            }
        };
        if text.contains('\0') {
            self.fault(path, "must not hold a NUL character");
            return None;
        }
        if text.len() > MAX_TEXT_BYTES {
            self.fault(path, format!("is longer than {MAX_TEXT_BYTES} bytes"));
            return None;
        }
        Some(text)
    }

    fn code(&mut self, value: &Value, path: &str) -> Option<i32> {
        let code = match value {
            Value::Number(number) => whole_code(number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if code.is_none() {
            self.fault(path, "must be a signed integer of 32 bits");
        }
        code
    }

    /// A list, or a single value that stands for a list of one.
    fn list<'v>(&mut self, value: Option<&'v Value>, path: &str) -> &'v [Value] {
        let items = match value {
            None => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        if items.len() > MAX_ITEMS {
            self.fault(path, format!("has more than {MAX_ITEMS} items"));
            return &[];
        }
        items
    }

    fn texts(&mut self, value: Option<&Value>, path: &str) -> Vec<String> {
        let items = self.list(value, path);
        let texts =
            items.iter().enumerate().map(|(index, item)| self.text(item, &format!("{path}[{index}]")));
        texts.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn options(&mut self, value: Option<&Value>, path: &str) -> Vec<CommandOption> {
        let items = self.list(value, path);
        let options =
            items.iter().enumerate().map(|(index, item)| self.option(item, &format!("{path}[{index}]")));
        options.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn option(&mut self, value: &Value, path: &str) -> Option<CommandOption> {
        let Value::Object(fields) = value else {
            self.fault(path, "must be an object with name and value");
            return None;
        };
        let found = self.fields(fields, &OPTION_FIELDS, path);
        let name = self.required_text(found[0], &join(path, "name"));
        let Some(value) = found[1] else {
            self.fault(&join(path, "value"), "is required");
            return None;
        };
        let value = self.text(value, &join(path, "value"));
        Some(CommandOption { name: name?, value: value? })
    }
}

/// A code, which JSON may also write with a point: `5.0` is 5.
fn whole_code(number: &serde_json::Number) -> Option<i32> {
    if let Some(code) = number.as_i64() {
        return i32::try_from(code).ok();
    }
    let code = number.as_f64().filter(|code| code.fract() == 0.0)?;
    let is_code = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&code);
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and within the bounds")]
    let code = code as i32;
    is_code.then_some(code)
}

/// `sub-command` and `sub_command` as `subCommand`.
fn camel(key: &str) -> String {
    let mut camel = String::with_capacity(key.len());
    let mut raise = false;
    for letter in key.chars() {
        match letter {
            '-' | '_' => raise = true,
            _ if raise => {
                camel.extend(letter.to_uppercase());
                raise = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

fn unknown_field(key: &str, known: &[&str]) -> String {
    let shown: String = key.chars().take(40).collect();
    match nearest(&camel(key), known) {
        Some(near) => format!("unknown field {shown}; did you mean {near}?"),
        None => format!("unknown field {shown}; there are: {}", known.join(", ")),
    }
}

/// The known name that differs least from `word`, if the difference is small.
fn nearest<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let scored = known.iter().map(|name| (distance(&word, &name.to_lowercase()), *name));
    scored.min().filter(|(distance, name)| *distance <= 2.max(name.len() / 3)).map(|(_, name)| name)
}

/// The number of letters to insert, remove or change.
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (line, wanted) in to.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, letter) in from.iter().enumerate() {
            let change = diagonal + usize::from(*letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[from.len()]
}
