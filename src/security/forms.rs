//! The forms in which a secret value shows up elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A form of base64 shorter than this is found by chance in ordinary data.
const SHORTEST_BASE64: usize = 6;

/// Lines of a text taken together are found by chance when they are shorter.
const SHORTEST_BODY: usize = 16;

/// `value` itself and what encodings make of it, without duplicates.
pub(crate) fn forms_of(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    forms.extend(percent_forms(value));
    forms.extend(json_forms(value));
    forms.push(xml_escape(value));
    forms.extend(numeric_forms(value));
    forms.extend(hex_forms(value));
    forms.extend(line_forms(value));
    for offset in 0..3 {
        let base64 = base64_forms(value, offset).into_iter().filter(|form| form.len() >= SHORTEST_BASE64);
        forms.extend(base64.flat_map(again));
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// The forms that may stand in the name of a header field, which is a token and
/// comes in lower case (RFC 9110 §5.1, §5.6.2).
pub(super) fn forms_in_names(value: &str) -> Vec<String> {
    let is_token = |form: &String| {
        form.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let mut forms: Vec<String> =
        forms_of(value).into_iter().filter(is_token).map(|form| form.to_ascii_lowercase()).collect();
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// In hexadecimal (RFC 4648 §8), either case.
fn hex_forms(value: &str) -> [String; 2] {
    let lower: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    [lower.to_uppercase(), lower]
}

/// With other line ends, and as one line: a key in PEM often changes so.
fn line_forms(value: &str) -> Vec<String> {
    let lines: Vec<&str> = value.trim_end().lines().collect();
    if lines.len() < 2 {
        return Vec::new();
    }
    let body: String = lines.iter().filter(|line| !line.starts_with("-----")).copied().collect();
    let mut forms = ["\r\n", "\n", "\\n", "\\r\\n", " "].map(|end| lines.join(end)).to_vec();
    // Without the lines that begin and end a PEM text: what is left of one
    // whose header says nothing of the secret.
    forms.extend((body.len() >= SHORTEST_BODY).then_some(body));
    forms
}

/// Percent-encoded (RFC 3986 §2.1) as strict and as lax encoders do it, with
/// either case of digits, and as a form field does it.
fn percent_forms(value: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let strict = percent_encode(value, "");
    let component = percent_encode(value, "!'()*");
    let path = percent_encode(value, "!'()*$&+,;=:@/");
    let lower = [&form, &strict, &component, &path].map(|form| lower_case_digits(form));
    lower.into_iter().chain([form, strict, component, path]).collect()
}

/// Encodes every byte except the unreserved ones (RFC 3986 §2.3) and `also`.
pub(crate) fn percent_encode(value: &str, also: &str) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
    }
    out
}

fn lower_case_digits(encoded: &str) -> String {
    let mut after_percent = 0;
    let lower = |c: char| {
        let digit = after_percent > 0;
        after_percent = if c == '%' { 2 } else { usize::saturating_sub(after_percent, 1) };
        if digit { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

/// Escaped for a JSON string (RFC 8259 §7): plain, with `\/`, in ASCII only, and
/// as encoders do it that have a web page in mind (Go's; .NET's, with either
/// case of digits).
fn json_forms(value: &str) -> [String; 6] {
    let plain = json_escape(value);
    let escape = |unit: u16| format!("\\u{unit:04x}");
    let ascii = escaped(&plain, |c| !c.is_ascii(), escape);
    let web = escaped(&plain, |c| "<>&".contains(c), escape);
    // A backslash is the one character that both spell alike.
    let slashes = value.replace('\\', "\\\\");
    let special = |c: char| !c.is_ascii() || "\"<>&'+`".contains(c);
    let strict = escaped(&slashes, special, |unit| format!("\\u{unit:04X}"));
    [plain.replace('/', "\\/"), plain, ascii, web, escaped(&slashes, special, escape), strict]
}

/// Escaped for XML with numbers of characters, in decimal and in either case of
/// hexadecimal digits.
fn numeric_forms(value: &str) -> [String; 3] {
    let special = |c: char| "&<>\"'".contains(c);
    [
        escaped(value, special, |unit| format!("&#{unit};")),
        escaped(value, special, |unit| format!("&#x{unit:x};")),
        escaped(value, special, |unit| format!("&#x{unit:X};")),
    ]
}

/// Writes each UTF-16 unit of the characters that are special in another way.
fn escaped(value: &str, is_special: impl Fn(char) -> bool, write: impl Fn(u16) -> String) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        if is_special(c) {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| write(*unit)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Escapes for the inside of a JSON string.
pub(crate) fn json_escape(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Escapes for XML text and attributes.
pub(crate) fn xml_escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The base64 characters (RFC 4648 §4 and §5) that `value` alone decides when
/// it stands `offset` bytes after a multiple of three: `user:secret` in Basic
/// authorization puts it at any of them.
fn base64_forms(value: &str, offset: usize) -> [String; 2] {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value.as_bytes());
    let (first, last) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    let decided = |text: String| text.get(first..last).unwrap_or_default().to_owned();
    [decided(STANDARD_NO_PAD.encode(&padded)), decided(URL_SAFE_NO_PAD.encode(&padded))]
}

/// What is in base64, and what other encodings make of its two characters that
/// are neither letters nor digits: `\/` and `\u002B` in JSON, in URLs percent
/// signs (of some encoders without the slash). Without them there is nothing to add.
fn again(base64: String) -> Vec<String> {
    let mut forms = Vec::new();
    if base64.contains('/') {
        forms.push(base64.replace('/', "\\/"));
    }
    if base64.contains('+') {
        forms.extend(["\\u002B", "\\u002b"].map(|plus| base64.replace('+', plus)));
    }
    if base64.contains(['/', '+']) {
        let percent = [percent_encode(&base64, ""), percent_encode(&base64, "/")];
        forms.extend(percent.iter().map(|form| lower_case_digits(form)));
        forms.extend(percent);
    }
    forms.push(base64);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_touches_only_digits() {
        assert_eq!(lower_case_digits("A%2FB%C3%A9C"), "A%2fB%c3%a9C");
    }

    #[test]
    fn a_key_is_found_with_other_line_ends() {
        let forms = forms_of("-----BEGIN X-----\nabcdefghijkl\nmnopqrst\n-----END X-----\n");
        for text in [
            "-----BEGIN X-----\r\nabcdefghijkl\r\nmnopqrst\r\n-----END X-----",
            "-----BEGIN X-----\\nabcdefghijkl\\nmnopqrst\\n-----END X-----",
            "abcdefghijklmnopqrst",
        ] {
            assert!(forms.contains(&text.to_owned()), "{text}");
        }
        assert_eq!(hex_forms("aé/"), ["61C3A92F", "61c3a92f"]);
        assert_eq!(line_forms("one line"), Vec::<String>::new());
    }

    #[test]
    fn encodings_are_those_of_their_standards() {
        assert_eq!(percent_encode("a b/é!", "!"), "a%20b%2F%C3%A9!");
        assert_eq!(json_escape("a\"\n/é"), "a\\\"\\n/é");
        assert_eq!(xml_escape("<a&'\">"), "&lt;a&amp;&#39;&quot;&gt;");
        assert_eq!(again("aGVsbG8".to_owned()), ["aGVsbG8"]);
        assert_eq!(json_forms("é😀/")[..3], ["é😀\\/", "é😀/", "\\u00e9\\ud83d\\ude00/"]);
        assert_eq!(
            json_forms("\\\"&+")[3..],
            ["\\\\\\\"\\u0026+", "\\\\\\u0022\\u0026\\u002b", "\\\\\\u0022\\u0026\\u002B"]
        );
        assert_eq!(numeric_forms("a'>"), ["a&#39;&#62;", "a&#x27;&#x3e;", "a&#x27;&#x3E;"]);
    }
}
