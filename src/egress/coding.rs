//! Answers that are packed although they were asked not to be. Only gzip is known;
//! whatever else a label says, or none says rightly, passes as it came.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// How every gzip begins (RFC 1952 §2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a packed body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// More came out of it than may be.
    TooLong,
    /// It is cut or damaged.
    Broken,
}

/// Takes the coding off a body that comes in parts.
pub(super) struct Decoder(State);

enum State {
    Plain,
    /// Said to be packed; the first bytes will tell.
    Labelled {
        start: Vec<u8>,
        most: usize,
    },
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

/// A buffer that takes no more than it may: little gzip makes much.
struct Bounded {
    out: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.left -= bytes.len();
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// For an answer with such a head, of which at most so many bytes may come out.
    pub(super) fn of(headers: &HeaderMap, most: usize) -> Self {
        let is_packed = is_gzip(headers);
        Self(if is_packed { State::Labelled { start: Vec::new(), most } } else { State::Plain })
    }

    /// What more of a body comes to, maybe nothing yet.
    pub(super) fn push(&mut self, bytes: Bytes) -> Result<Bytes, Unreadable> {
        match &mut self.0 {
            State::Plain => Ok(bytes),
            State::Gzip(gzip) => unpacked(gzip, &bytes),
            State::Labelled { start, most } => {
                start.extend_from_slice(&bytes);
                if start.len() < MAGIC.len() {
                    return Ok(Bytes::new());
                }
                let (start, left) = (std::mem::take(start), *most);
                if !start.starts_with(&MAGIC) {
                    self.0 = State::Plain;
                    return Ok(start.into());
                }
                let mut gzip = Box::new(MultiGzDecoder::new(Bounded { out: Vec::new(), left }));
                let first = unpacked(&mut gzip, &start);
                self.0 = State::Gzip(gzip);
                first
            }
        }
    }

    /// What is left when the body has ended.
    pub(super) fn finish(&mut self) -> Result<Bytes, Unreadable> {
        match std::mem::replace(&mut self.0, State::Plain) {
            State::Plain => Ok(Bytes::new()),
            State::Labelled { start, .. } => Ok(start.into()),
            State::Gzip(mut gzip) => {
                gzip.try_finish().map_err(unreadable)?;
                Ok(std::mem::take(&mut gzip.get_mut().out).into())
            }
        }
    }
}

fn unpacked(gzip: &mut MultiGzDecoder<Bounded>, bytes: &[u8]) -> Result<Bytes, Unreadable> {
    gzip.write_all(bytes).map_err(unreadable)?;
    Ok(std::mem::take(&mut gzip.get_mut().out).into())
}

fn unreadable(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Unreadable::TooLong,
        _ => Unreadable::Broken,
    }
}

/// Whether gzip is all that the labels name (RFC 9110 §8.4.1.3), in any spelling.
fn is_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let labels = values.flat_map(|value| value.split(',')).map(|label| label.trim().to_ascii_lowercase());
    let codings: Vec<_> = labels.filter(|label| !label.is_empty() && label != "identity").collect();
    matches!(&codings[..], [only] if only == "gzip" || only == "x-gzip")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(label: &str, parts: &[&[u8]], most: usize) -> Result<Vec<u8>, Unreadable> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, label.parse().unwrap());
        let mut decoder = Decoder::of(&headers, most);
        let mut read = Vec::new();
        for part in parts {
            read.extend(decoder.push(Bytes::copy_from_slice(part))?);
        }
        read.extend(decoder.finish()?);
        Ok(read)
    }

    #[test]
    fn labels_are_believed_only_with_what_they_label() {
        for label in ["gzip", "GZip", "x-gzip", " gzip , identity", "identity,,gzip"] {
            assert_eq!(read(label, &[&packed(b"text")], 9).unwrap(), b"text", "{label}");
            assert_eq!(read(label, &[b"text"], 9).unwrap(), b"text", "{label}");
            assert_eq!(read(label, &[b"t"], 9).unwrap(), b"t", "{label}");
            assert_eq!(read(label, &[], 9).unwrap(), b"", "{label}");
        }
        for label in ["", "identity", "utf-8", "none", "br", "deflate", "gzip, br", "gzip, gzip", "nonsense"]
        {
            assert_eq!(read(label, &[b"te", b"xt"], 9).unwrap(), b"text", "{label}");
            assert_eq!(read(label, &[&packed(b"text")], 9).unwrap(), packed(b"text"), "{label}");
        }
    }

    #[test]
    fn what_is_cut_damaged_or_too_long_is_told_apart() {
        let whole = packed(b"text");
        assert_eq!(read("gzip", &[&whole[..whole.len() - 3]], 9), Err(Unreadable::Broken));
        assert_eq!(read("gzip", &[&whole[..12], b"\xff\xff\xff\xff"], 9), Err(Unreadable::Broken));
        assert_eq!(read("gzip", &[&packed(&vec![0; 1 << 24])], 1 << 16), Err(Unreadable::TooLong));
        assert_eq!(read("gzip", &[&packed(&[0; 10])], 10).unwrap(), [0; 10]);
        let twice = [packed(b"one "), packed(b"two")].concat();
        assert_eq!(read("gzip", &[&twice], 9).unwrap(), b"one two");
    }

    proptest! {
        #[test]
        fn parts_may_be_cut_anywhere(text in prop::collection::vec(any::<u8>(), 0..400), size in 1..40_usize) {
            let packed = packed(&text);
            let parts: Vec<_> = packed.chunks(size).collect();
            prop_assert_eq!(read("gzip", &parts, 400).unwrap(), text);
        }
    }
}
