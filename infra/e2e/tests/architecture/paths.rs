//! The paths (`a::b::c`) in a Rust source. No parser: words, `::`, braces and commas say enough.

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Step,
    Other(char),
}

/// Every path of two or more names, and every import, in a file of the module `module`; `super` and `self` are resolved, so that
/// each begins with `crate` or the name of a crate or of something imported. Use trees are written out.
pub(crate) fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let tokens = tokens(&without_comments_and_texts(text));
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let is_use = tokens[at] == Token::Word("use".to_owned());
        at += usize::from(is_use);
        let before = at;
        let mut here = Vec::new();
        read_tree(&tokens, &mut at, &[], &mut here);
        if at == before {
            at += 1;
        }
        // `use redis;` is a path, any other single word is none.
        here.retain(|path| is_use || path.len() > 1);
        found.append(&mut here);
    }
    found.into_iter().map(|path| resolve(path, module)).collect()
}

/// Reads `a::b::{c, d::e}` from `at` on, and leaves `at` behind it.
fn read_tree(tokens: &[Token], at: &mut usize, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    let begin = *at;
    loop {
        // `::a` names a crate as `a` does.
        if path.len() == prefix.len() && tokens.get(*at) == Some(&Token::Step) {
            *at += 1;
        }
        match tokens.get(*at) {
            Some(Token::Word(word)) => {
                path.push(word.clone());
                *at += 1;
            }
            Some(Token::Other('*')) if *at > begin => *at += 1,
            Some(Token::Other('{')) if *at > begin || !prefix.is_empty() => {
                return read_group(tokens, at, &path, found);
            }
            _ => break,
        }
        if tokens.get(*at) != Some(&Token::Step) {
            break;
        }
        *at += 1;
    }
    if path.len() > prefix.len() {
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        found.push(path);
    }
}

fn read_group(tokens: &[Token], at: &mut usize, prefix: &[String], found: &mut Vec<Vec<String>>) {
    *at += 1;
    let mut after_as = false;
    while let Some(token) = tokens.get(*at) {
        match token {
            Token::Other('}') => {
                *at += 1;
                return;
            }
            Token::Word(word) if word == "as" => {
                after_as = true;
                *at += 1;
            }
            Token::Word(_) if after_as => {
                after_as = false;
                *at += 1;
            }
            Token::Word(_) | Token::Other('{') => read_tree(tokens, at, prefix, found),
            Token::Step | Token::Other(_) => *at += 1,
        }
    }
}

/// `super::x` and `self::x` as `crate::…::x`.
fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = path.iter().peekable();
    let mut is_relative = false;
    while let Some(first) = rest.peek() {
        match first.as_str() {
            "self" if !is_relative => {}
            "super" => {
                base.pop();
            }
            _ => break,
        }
        is_relative = true;
        rest.next();
    }
    if !is_relative {
        return path;
    }
    std::iter::once("crate".to_owned()).chain(base).chain(rest.cloned()).collect()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = String::from(c);
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
            tokens.push(Token::Word(word));
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push(Token::Step);
        } else if !c.is_whitespace() {
            tokens.push(Token::Other(c));
        }
    }
    tokens
}

/// The text with comments left out and every string and character literal empty.
fn without_comments_and_texts(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => end_of(rest, &['*', '/']),
            ['r', '#' | '"', ..] if !ends_in_word(&out) && raw_text(rest).is_some() => {
                raw_text(rest).unwrap_or(1)
            }
            ['"', ..] => quoted(rest),
            ['\'', '\\', ..] => {
                2 + rest[2..].iter().skip(1).position(|c| *c == '\'').map_or(0, |end| end + 2)
            }
            ['\'', _, '\'', ..] => 3,
            [c, ..] => {
                out.push(*c);
                1
            }
            [] => break,
        };
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn end_of(rest: &[char], mark: &[char]) -> usize {
    rest.windows(mark.len()).position(|window| window == mark).map_or(rest.len(), |start| start + mark.len())
}

/// Length of `r#"…"#`; `None` for what only looks like it (`r#type`).
fn raw_text(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some(())?;
    let mut mark = vec!['"'];
    mark.extend(std::iter::repeat_n('#', hashes));
    Some(2 + hashes + end_of(&rest[2 + hashes..], &mark))
}

/// Length of `"…"` with its escapes.
fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[test]
fn paths_are_found_in_every_spelling() {
    let text = r##"
        use a::{self, b::{C, d::*}, e as f};
        use g;
        /* use no::comment */ // no::comment
        const T: &str = "no::text \" no::text"; const R: &str = r#"no::raw"#; const Q: char = '"';
        fn h<'x>(i: &'x j::K) { super::l::m(); self::n::o() }
    "##;
    let module = ["p".to_owned(), "q".to_owned()];
    let found: Vec<String> = paths(text, &module).iter().map(|path| path.join("::")).collect();
    let wanted = ["a", "a::b::C", "a::b::d", "a::e", "g", "j::K", "crate::p::l::m", "crate::p::q::n::o"];
    assert_eq!(found, wanted);
}
