//! A command line for people.

/// The item as it is shown: in quotes where its ends would not be seen.
pub(super) fn quote(item: &str) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || "\"'\\$`".contains(c);
    if !item.is_empty() && !item.contains(special) {
        return item.to_owned();
    }
    let mut quoted = String::with_capacity(item.len() + 2);
    quoted.push('"');
    for letter in item.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => quoted.extend(letter.escape_default()),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
