//! How secrets rest in the database.
//!
//! Each secret is encrypted with a fresh data key, and the data key with the
//! master key, so that a new master key re-wraps 48 bytes per secret and never
//! touches the secret itself. XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha)
//! has nonces long enough to be drawn at random.
//!
//! ```text
//! 1  format: 2, or 1 of secrets from before they had versions
//! 8  id of the master key
//! 24 nonce ┐
//! 48 data key and tag, under the master key
//! 24 nonce
//! n+16 secret and tag, under the data key
//! ```
//!
//! Both layers authenticate the format, which version of the secret it is, and
//! `owner|name`, with the length of the owner in front so that no two pairs read
//! the same: a sealed secret that is copied to another row, or a former value
//! that is put in place of a later one, does not open.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::RngCore as _;
use zeroize::Zeroizing;

use super::{MasterKey, Secret};

/// What is made.
const FORMAT: u8 = 2;
/// What was made before secrets had versions, which is version 0.
const UNVERSIONED: u8 = 1;
const KEY_ID: usize = 8;
const NONCE: usize = 24;
const WRAPPED: usize = 32 + 16;
const HEADER: usize = 1 + KEY_ID + NONCE + WRAPPED;

/// Why a secret could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// Not made by [`Sealer::seal`], or cut.
    #[error("the sealed secret is damaged: it is too short")]
    TooShort,
    /// Made by a later release.
    #[error("the sealed secret has format {0}, which this release does not know")]
    UnknownFormat(u8),
    /// Sealed under a master key that is not here.
    #[error("the secret was sealed with another master key (id {}): give that key as well", hex(.0))]
    UnknownKey([u8; KEY_ID]),
    /// Changed since, or of another owner or name.
    #[error("the sealed secret is damaged or belongs to another owner or name")]
    Refused,
    /// The cipher refused to encrypt: the secret is larger than 256 GiB.
    #[error("the secret is too large to be sealed")]
    TooLarge,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seals and opens secrets with the master keys it holds.
#[derive(Debug, Clone)]
pub struct Sealer {
    current: MasterKey,
    former: Vec<MasterKey>,
}

impl Sealer {
    /// Seals and opens with `current`.
    pub fn new(current: MasterKey) -> Self {
        Self { current, former: Vec::new() }
    }

    /// Opens what `key` sealed too: for the time of a rotation.
    #[must_use]
    pub fn with_former(mut self, key: MasterKey) -> Self {
        self.former.push(key);
        self
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    ///
    /// [`SealingError::TooLarge`] only.
    pub fn seal(&self, place: Place<'_>, plain: &Secret) -> Result<Vec<u8>, SealingError> {
        let bound = place.bound(FORMAT);
        let data_key = MasterKey::generate();
        let mut sealed = self.wrap((FORMAT, &bound), data_key.bytes())?;
        encrypt(&mut sealed, data_key.bytes(), &bound, plain.expose().as_bytes())?;
        Ok(sealed)
    }

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged, belong elsewhere or need another master key.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret, SealingError> {
        let bound = place.bound(format_of(place, sealed)?);
        let data_key = self.unwrap_key(&bound, sealed)?;
        let plain = decrypt(&sealed[HEADER..], &data_key, &bound)?;
        Secret::from_bytes(plain).ok_or(SealingError::Refused)
    }

    /// Whether the secret was sealed with a former master key.
    pub fn needs_rewrap(&self, sealed: &[u8]) -> bool {
        sealed.get(1..1 + KEY_ID) != Some(&self.current.id())
    }

    /// The same secret under the current master key.
    ///
    /// # Errors
    ///
    /// Those of [`Sealer::open`].
    pub fn rewrap(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealingError> {
        let format = format_of(place, sealed)?;
        let bound = place.bound(format);
        let data_key = self.unwrap_key(&bound, sealed)?;
        let mut again = self.wrap((format, &bound), &data_key)?;
        again.extend_from_slice(&sealed[HEADER..]);
        Ok(again)
    }

    fn wrap(&self, (format, bound): (u8, &[u8]), data_key: &[u8; 32]) -> Result<Vec<u8>, SealingError> {
        let mut sealed = Vec::with_capacity(HEADER + NONCE + 64);
        sealed.push(format);
        sealed.extend_from_slice(&self.current.id());
        encrypt(&mut sealed, self.current.bytes(), bound, data_key)?;
        Ok(sealed)
    }

    fn unwrap_key(&self, bound: &[u8], sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealingError> {
        if sealed.len() < HEADER + NONCE + 16 {
            return Err(SealingError::TooShort);
        }
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&sealed[1..1 + KEY_ID]);
        let mut keys = std::iter::once(&self.current).chain(&self.former);
        let key = keys.find(|key| key.id() == id).ok_or(SealingError::UnknownKey(id))?;
        let plain = Zeroizing::new(decrypt(&sealed[1 + KEY_ID..HEADER], key.bytes(), bound)?);
        let mut data_key = Zeroizing::new([0; 32]);
        data_key.copy_from_slice(&plain);
        Ok(data_key)
    }
}

/// Where a sealed secret belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Whose it is, such as `target:7`.
    pub owner: &'a str,
    /// What it is called.
    pub name: &'a str,
    /// Which of its values it is, from 1; 0 for one from before they were counted.
    pub version: i64,
}

impl Place<'_> {
    fn bound(&self, format: u8) -> Vec<u8> {
        let Self { owner, name, version } = self;
        let text = match format {
            UNVERSIONED => format!("{format}|{}|{owner}|{name}", owner.len()),
            _ => format!("{format}|{version}|{}|{owner}|{name}", owner.len()),
        };
        text.into_bytes()
    }
}

/// The format of a sealed secret, which must be one that its version can have: a
/// value of before is not taken for a later one.
fn format_of(place: Place<'_>, sealed: &[u8]) -> Result<u8, SealingError> {
    match sealed.first() {
        None => Err(SealingError::TooShort),
        Some(&FORMAT) if place.version > 0 => Ok(FORMAT),
        Some(&UNVERSIONED) if place.version == 0 => Ok(UNVERSIONED),
        Some(&(FORMAT | UNVERSIONED)) => Err(SealingError::Refused),
        Some(&other) => Err(SealingError::UnknownFormat(other)),
    }
}

/// Appends the nonce and the ciphertext.
fn encrypt(out: &mut Vec<u8>, key: &[u8; 32], bound: &[u8], plain: &[u8]) -> Result<(), SealingError> {
    let mut nonce = [0; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    let cipher = XChaCha20Poly1305::new(key.into());
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: bound })
        .map_err(|_| SealingError::TooLarge)?;
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(())
}

fn decrypt(sealed: &[u8], key: &[u8; 32], bound: &[u8]) -> Result<Vec<u8>, SealingError> {
    let (nonce, sealed) = sealed.split_at(NONCE);
    XChaCha20Poly1305::new(key.into())
        .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: bound })
        .map_err(|_| SealingError::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Place<'_> = Place { owner: "target:1", name: "token", version: 1 };

    fn place<'a>(owner: &'a str, name: &'a str) -> Place<'a> {
        Place { owner, name, version: 1 }
    }

    fn sealed() -> (Sealer, Vec<u8>) {
        let sealer = Sealer::new(MasterKey::generate());
        let sealed = sealer.seal(TOKEN, &Secret::new("hunter2")).unwrap();
        (sealer, sealed)
    }

    /// As releases did that knew no versions.
    fn sealed_before(sealer: &Sealer) -> Vec<u8> {
        let bound = TOKEN.bound(UNVERSIONED);
        let key = MasterKey::generate();
        let mut sealed = sealer.wrap((UNVERSIONED, &bound), key.bytes()).unwrap();
        encrypt(&mut sealed, key.bytes(), &bound, b"hunter2").unwrap();
        sealed
    }

    #[test]
    fn is_bound_to_its_version() {
        let (sealer, sealed) = sealed();
        for version in [0, 2, -1] {
            assert_eq!(sealer.open(Place { version, ..TOKEN }, &sealed), Err(SealingError::Refused));
        }
        let before = sealed_before(&sealer);
        assert_eq!(sealer.open(Place { version: 0, ..TOKEN }, &before), Ok(Secret::new("hunter2")));
        for version in [1, 2] {
            assert_eq!(sealer.open(Place { version, ..TOKEN }, &before), Err(SealingError::Refused));
        }
        let rotating = Sealer::new(MasterKey::generate()).with_former(sealer.current.clone());
        let again = rotating.rewrap(Place { version: 0, ..TOKEN }, &before).unwrap();
        assert_eq!(rotating.open(Place { version: 0, ..TOKEN }, &again), Ok(Secret::new("hunter2")));
    }

    #[test]
    fn opens_what_it_sealed() {
        let (sealer, sealed) = sealed();
        assert_eq!(sealer.open(TOKEN, &sealed), Ok(Secret::new("hunter2")));
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(
            sealer.open(place("", ""), &sealer.seal(place("", ""), &Secret::new("")).unwrap()),
            Ok(Secret::new(""))
        );
    }

    #[test]
    fn is_bound_to_owner_and_name() {
        let (sealer, sealed) = sealed();
        for (owner, name) in [("target:2", "token"), ("target:1", "other"), ("target:1|token", "")] {
            assert_eq!(sealer.open(place(owner, name), &sealed), Err(SealingError::Refused));
        }
        let odd = sealer.seal(place("a|b", "c"), &Secret::new("x")).unwrap();
        assert_eq!(sealer.open(place("a", "b|c"), &odd), Err(SealingError::Refused));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let (sealer, sealed) = sealed();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(TOKEN, &changed).is_err(), "byte {at}");
            assert!(sealer.open(TOKEN, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_master_key_can_be_replaced() {
        let (old, sealed) = sealed();
        let rotating = Sealer::new(MasterKey::generate()).with_former(old.current.clone());
        assert!(rotating.needs_rewrap(&sealed));
        let again = rotating.rewrap(TOKEN, &sealed).unwrap();
        assert!(!rotating.needs_rewrap(&again));
        assert!(matches!(old.open(TOKEN, &again), Err(SealingError::UnknownKey(_))));
        let done = Sealer::new(rotating.current);
        assert_eq!(done.open(TOKEN, &again), Ok(Secret::new("hunter2")));
    }

    #[test]
    fn errors_say_what_to_do() {
        let (_, sealed) = sealed();
        let error = Sealer::new(MasterKey::generate()).open(TOKEN, &sealed).unwrap_err();
        assert!(error.to_string().ends_with("give that key as well"), "{error}");
        assert_eq!(
            sealer_error(&[9; 200]),
            "the sealed secret has format 9, which this release does not know"
        );
    }

    fn sealer_error(sealed: &[u8]) -> String {
        Sealer::new(MasterKey::generate()).open(TOKEN, sealed).unwrap_err().to_string()
    }
}
