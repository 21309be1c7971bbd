//! Forms in parts (RFC 7578).

use super::{Seen, hidden, is_credential_key};

/// A body without what stands in parts that are credentials.
pub(super) fn parts(text: &str, seen: &mut Seen) -> String {
    // The first line is the delimiter of all parts (RFC 2046 §5.1.1).
    let delimiter = text.lines().next().unwrap_or_default();
    if !delimiter.starts_with("--") || delimiter.len() < 3 {
        return text.to_owned();
    }
    text.split(delimiter).map(|text| part(text, seen)).collect::<Vec<_>>().join(delimiter)
}

fn part(text: &str, seen: &mut Seen) -> String {
    let ends = ["\r\n\r\n", "\n\n"].into_iter().filter_map(|end| text.find(end).map(|at| at + end.len()));
    let Some(start) = ends.min() else { return text.to_owned() };
    let (head, content) = text.split_at(start);
    let Some(name) = name(head).filter(|name| is_credential_key(name)) else { return text.to_owned() };
    let value = content.trim_end_matches(['\r', '\n']);
    format!("{head}{}{}", hidden(name, value, seen), &content[value.len()..])
}

fn name(head: &str) -> Option<&str> {
    let (_, rest) = head.split_once(" name=")?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([';', '\r', '\n']).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> String {
        super::parts(text, &mut Seen::default())
    }

    #[test]
    fn credentials_in_parts_are_hidden() {
        let field = |name: &str, value: &str| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let text =
            format!("{}{}{}--x--\r\n", field("user", "a"), field("password", "P\r\nQ"), field("b", "c"));
        let shown = parts(&text);
        assert_eq!(shown, text.replace("P\r\nQ", "[hidden]"));
        assert_eq!(parts(&format!("{}{}", field("a", "b"), field("token", "cut"))).matches("cut").count(), 0);
        assert_eq!(parts(&field("token", "[secret:t]")), field("token", "[secret:t]"));
        assert_eq!(parts("no parts"), "no parts");
    }
}
