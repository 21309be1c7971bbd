//! API tokens: a recognizable prefix and 32 random bytes. Only the hash is
//! stored; a fast one is enough, because nobody can guess 256 random bits.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use rand::RngCore as _;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Secret;

const PREFIX: &str = "prov_";
const RANDOM_BYTES: usize = 32;

/// How long a token works when nobody says how long.
pub const USUAL_LIFE: TimeDelta = TimeDelta::days(90);

/// A text that is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token: one is `prov_` and 43 letters, digits, `-` or `_`")]
pub struct TokenError;

/// A bearer token (RFC 6750 §2.1). Printing it shows `[secret]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Secret);

impl Token {
    /// A new one from the thread's cryptographic generator.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0_u8; RANDOM_BYTES]);
        rand::rng().fill_bytes(bytes.as_mut());
        Self(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes))))
    }

    /// Reads what a caller presented.
    ///
    /// # Errors
    ///
    /// When the text does not have the form of a token. Whether it is valid is
    /// for the table of hashes to say.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(TokenError)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError)?);
        if bytes.len() == RANDOM_BYTES { Ok(Self(Secret::new(text))) } else { Err(TokenError) }
    }

    /// SHA-256 of the whole text: what the table holds and is looked up by.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose()).into()
    }

    /// The text, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_made() {
        let token = Token::generate();
        assert_eq!(token.expose().len(), 48);
        let read = Token::parse(token.expose()).unwrap();
        assert_eq!(read.hash(), token.hash());
        assert_ne!(token.hash(), Token::generate().hash());
        assert_eq!(token.to_string(), "[secret]");
        assert!(!format!("{token:?}").contains("prov_"));
    }

    #[test]
    fn refuses_other_texts() {
        let good = Token::generate().expose().to_owned();
        for bad in [
            "",
            "prov_",
            "prov_abc",
            &good[1..],
            &good[..47],
            &format!("{good}A"),
            &good.replace("prov", "Prov"),
        ] {
            assert_eq!(Token::parse(bad), Err(TokenError), "{bad}");
        }
    }
}
