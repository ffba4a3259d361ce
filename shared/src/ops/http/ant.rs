//! Patterns of paths as Ant has them: `?` is one character, `*` any within a segment, `**` any segments.

/// Whether the pattern covers the path. `/a/**` covers `/a`, too.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let segments = |text: &str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (pattern, path): (Vec<String>, Vec<String>) = (segments(pattern), segments(path));
    matches_all(&pattern, &path)
}

/// `reached[i]` says whether the pattern so far covers the first `i` segments: as many steps as pattern times path.
fn matches_all(pattern: &[String], path: &[String]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        for (index, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
            if part == "**" {
                next[index..].fill(true);
                break;
            }
            if path.get(index).is_some_and(|segment| matches_segment(part, segment)) {
                next[index + 1] = true;
            }
        }
        reached = next;
    }
    reached[path.len()]
}

fn matches_segment(pattern: &str, segment: &str) -> bool {
    let (pattern, segment): (Vec<char>, Vec<char>) = (pattern.chars().collect(), segment.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and from where on what follows it is tried.
    let mut star: Option<(usize, usize)> = None;
    while read < segment.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(c) if *c == '?' || *c == segment[read] => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((star_at, from)) = star else { return false };
                star = Some((star_at, from + 1));
                (at, read) = (star_at + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/swagger/**", "/swagger/a/b.yml", true),
            ("/swagger/**", "/swagger", true),
            ("/swagger/**", "/swagger-ui/x", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/c", false),
            ("/a/**/c", "/a/c", true),
            ("/a/**/c", "/a/b/b/c", true),
            ("/a/**/c", "/a/b/b/d", false),
            ("/**/b/**", "/a/b/c", true),
            ("/x*z", "/xyyz", true),
            ("/x*z*", "/xzaz", true),
            ("/x?z", "/xz", false),
            ("/x?z", "/xyz", true),
            ("/health", "/health/", true),
            ("/health", "/Health", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
