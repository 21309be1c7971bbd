//! The text of a secret, read as a key.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::domain::host_call::{Curve, Digest, KeyAlgorithm, KeyEncoding};

/// Either alphabet becomes this one first; padding may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that can sign.
pub(super) enum SigningKey {
    Hmac(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is not the key that it should be. Never holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("it is not valid {0}")]
    Encoding(&'static str),
    #[error("it is a PEM text of which the end is missing")]
    CutPem,
    #[error("it is encrypted with a passphrase; store the key without one")]
    Encrypted,
    #[error("it is a PEM `{0}`, not a private key")]
    NotPrivate(String),
    #[error("it is not a private key for {algorithm}: {why}")]
    Rejected { algorithm: &'static str, why: String },
}

/// A private key in DER, by its structure.
enum Der {
    /// RFC 5958, also what a text without a label is taken for.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// RFC 8017 §A.1.2.
    Pkcs1(Zeroizing<Vec<u8>>),
    /// RFC 5915.
    Sec1(Zeroizing<Vec<u8>>),
}

impl SigningKey {
    /// Reads the text for an algorithm.
    pub(super) fn read(text: &str, algorithm: &KeyAlgorithm) -> Result<Self, KeyError> {
        let name = algorithm.name();
        match algorithm {
            KeyAlgorithm::Hmac { hash, encoding } => {
                let key = hmac::Key::new(hmac_of(*hash), &symmetric(text, *encoding)?);
                return Ok(Self::Hmac(Box::new(key)));
            }
            KeyAlgorithm::RsaPkcs1 { .. } | KeyAlgorithm::RsaPss { .. } => match Der::read(text)? {
                Der::Pkcs8(der) => RsaKeyPair::from_pkcs8(&der),
                Der::Pkcs1(der) => RsaKeyPair::from_der(&der),
                Der::Sec1(_) => return Err(other(name, "a key of an elliptic curve")),
            }
            .map(|pair| Self::Rsa(Box::new(pair))),
            KeyAlgorithm::Ecdsa { named_curve } => match Der::read(text)? {
                Der::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(ecdsa_of(*named_curve), &der),
                Der::Sec1(der) => EcdsaKeyPair::from_private_key_der(ecdsa_of(*named_curve), &der),
                Der::Pkcs1(_) => return Err(other(name, "an RSA key")),
            }
            .map(Self::Ecdsa),
            KeyAlgorithm::Ed25519 => match Der::read(text)? {
                // OpenSSL leaves the public key out.
                Der::Pkcs8(der) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self::Ed25519),
                Der::Pkcs1(_) => return Err(other(name, "an RSA key")),
                Der::Sec1(_) => return Err(other(name, "a key of another curve")),
            },
        }
        .map_err(|error| KeyError::Rejected { algorithm: name, why: error.to_string() })
    }
}

fn other(algorithm: &'static str, is: &str) -> KeyError {
    KeyError::Rejected { algorithm, why: format!("it is {is}") }
}

fn hmac_of(hash: Digest) -> hmac::Algorithm {
    match hash {
        Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => hmac::HMAC_SHA256,
        Digest::Sha384 => hmac::HMAC_SHA384,
        Digest::Sha512 => hmac::HMAC_SHA512,
    }
}

fn ecdsa_of(curve: Curve) -> &'static aws_lc_rs::signature::EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn symmetric(text: &str, encoding: KeyEncoding) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match encoding {
        KeyEncoding::Utf8 => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        KeyEncoding::Base64 => base64(text).ok_or(KeyError::Encoding("base64")),
        KeyEncoding::Hex => hex(text.trim()).ok_or(KeyError::Encoding("hexadecimal")),
    }
}

/// Decodes either alphabet (RFC 4648 §4 and §5), over any number of lines.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let plain: Zeroizing<Vec<u8>> = Zeroizing::new(
        text.bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => other,
            })
            .collect(),
    );
    LENIENT.decode(&*plain).ok().map(Zeroizing::new)
}

fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if text.len() % 2 == 1 {
        return None;
    }
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

impl Der {
    /// PEM (RFC 7468), or DER in base64.
    fn read(text: &str) -> Result<Self, KeyError> {
        // As it stands in a JSON file, from which it is often copied.
        let text = Zeroizing::new(text.replace("\\n", "\n"));
        let Some((_, rest)) = text.split_once("-----BEGIN ") else {
            return base64(&text).map(Self::Pkcs8).ok_or(KeyError::Encoding("base64, nor PEM"));
        };
        let (label, rest) = rest.split_once("-----").ok_or(KeyError::CutPem)?;
        let (body, _) = rest.split_once("-----END ").ok_or(KeyError::CutPem)?;
        if label.starts_with("ENCRYPTED") || body.contains("ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let wrap = match label {
            "PRIVATE KEY" => Self::Pkcs8,
            "RSA PRIVATE KEY" => Self::Pkcs1,
            "EC PRIVATE KEY" => Self::Sec1,
            // What is no label is not shown.
            other => {
                let plain = |c: char| c.is_ascii_uppercase() || c == ' ';
                let is_label = other.len() <= 30 && other.chars().all(plain);
                return Err(KeyError::NotPrivate(if is_label { other.into() } else { "?".into() }));
            }
        };
        base64(body).map(wrap).ok_or(KeyError::Encoding("base64 inside its PEM"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, algorithm: KeyAlgorithm) -> String {
        SigningKey::read(text, &algorithm).err().map(|error| error.to_string()).unwrap_or_default()
    }

    const RSA: KeyAlgorithm = KeyAlgorithm::RsaPkcs1 { hash: Digest::Sha256 };

    #[test]
    fn a_bad_key_is_described_without_its_bytes() {
        for (text, said) in [
            ("hunter2!", "it is not valid base64, nor PEM"),
            ("aHVudGVyMg==", "it is not a private key for RSASSA-PKCS1-v1_5: "),
            ("-----BEGIN PRIVATE KEY-----\nAAAA", "it is a PEM text of which the end is missing"),
            (
                "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----",
                "it is not valid base64 inside its PEM",
            ),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----",
                "it is encrypted",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----",
                "it is encrypted",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
                "it is a PEM `CERTIFICATE`, not a private key",
            ),
            ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----", "it is not a private key"),
        ] {
            let error = error(text, RSA);
            assert!(error.starts_with(said), "{text}: {error}");
            assert!(!error.contains("hunter") && !error.contains("aHV"), "{error}");
        }
    }

    #[test]
    fn symmetric_keys_are_decoded_as_told() {
        for (text, encoding, bytes) in [
            ("ab", KeyEncoding::Utf8, &b"ab"[..]),
            ("-_8=", KeyEncoding::Base64, &[0xfb, 0xff]),
            ("+/8", KeyEncoding::Base64, &[0xfb, 0xff]),
            (" 0aFF\n", KeyEncoding::Hex, &[10, 255]),
        ] {
            assert_eq!(symmetric(text, encoding).unwrap().as_slice(), bytes);
        }
        assert_eq!(symmetric("abc", KeyEncoding::Hex), Err(KeyError::Encoding("hexadecimal")));
        assert_eq!(symmetric("é0", KeyEncoding::Hex), Err(KeyError::Encoding("hexadecimal")));
        assert_eq!(symmetric("%", KeyEncoding::Base64), Err(KeyError::Encoding("base64")));
    }
}
