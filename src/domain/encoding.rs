//! Text as files and bodies hold it. Editors leave a byte order mark at its
//! beginning, which means nothing in UTF-8 (RFC 3629 §6).

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Why bytes are no text that is understood; the end of a sentence that begins
/// with what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEncoding {
    /// As some shells and editors write unasked.
    #[error("is UTF-16: save it as UTF-8")]
    Utf16,
    /// Anything else.
    #[error("is not UTF-8 (invalid after byte {after})")]
    NotUtf8 {
        /// Bytes that are well.
        after: usize,
    },
}

/// The text of bytes, without its byte order mark.
///
/// # Errors
/// When it is in another encoding.
pub fn decode(bytes: &[u8]) -> Result<&str, BadEncoding> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(BadEncoding::Utf16);
    }
    std::str::from_utf8(unmarked(bytes)).map_err(|error| {
        let mark = bytes.len() - unmarked(bytes).len();
        BadEncoding::NotUtf8 { after: error.valid_up_to() + mark }
    })
}

/// Bytes without their byte order mark.
pub fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Text without its byte order mark.
pub fn unmarked_text(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What a file holds that is one word: no mark, and no white space around it.
pub fn word(text: &str) -> &str {
    unmarked_text(text.trim()).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_beginning_means_nothing() {
        assert_eq!(decode(b"\xef\xbb\xbf{}"), Ok("{}"));
        assert_eq!(decode("a\u{feff}b".as_bytes()), Ok("a\u{feff}b"));
        assert_eq!(decode("\u{feff}\u{feff}".as_bytes()), Ok("\u{feff}"), "one is a mark");
        assert_eq!(decode(b""), Ok(""));
        assert_eq!(word("\u{feff}prov_x \r\n"), "prov_x");
        assert_eq!(word(" \u{feff} "), "");
    }

    #[test]
    fn other_encodings_are_named() {
        for utf16 in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}"] {
            assert_eq!(decode(utf16), Err(BadEncoding::Utf16));
        }
        assert_eq!(decode(b"\xef\xbb\xbfa\xe9"), Err(BadEncoding::NotUtf8 { after: 4 }));
        assert_eq!(decode(b"Zo\xeb").unwrap_err().to_string(), "is not UTF-8 (invalid after byte 2)");
    }
}
