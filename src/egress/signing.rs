//! Signatures with secrets. Logic says with which and over what; the key stays
//! here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use bytes::Bytes;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::failure::{auth, permanent, transient};
use super::handles::{Handles, Landing, TooLong, Used};
use super::key::SigningKey;
use crate::domain::host_call::{
    Curve, Digest, HostCallError, KeyAlgorithm, KeyInfo, KeyRequest, SignOptions, SignRequest,
};

/// Signatures that one target has made at the same time: a large RSA key takes
/// a CPU for milliseconds.
const AT_ONCE: usize = 2;
/// Keys that are kept ready. Most targets have one.
const KEPT: usize = 64;
/// Longest material of a key that is kept, in bytes: a private key is shorter, and
/// a longer HMAC key is quick to read again.
const KEPT_MATERIAL: usize = 16 * 1024;

/// The keys of one policy, each read when it is first needed.
pub(super) struct Signers {
    keys: Mutex<HashMap<KeyRequest, Arc<SigningKey>>>,
    turns: Semaphore,
}

impl Default for Signers {
    fn default() -> Self {
        Self { keys: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Signers {
    /// Reads a key, and says what may be known of it.
    pub(super) async fn inspect(
        &self,
        handles: &Handles,
        request: KeyRequest,
    ) -> Result<KeyInfo, HostCallError> {
        Ok(match &*self.key(handles, request).await? {
            SigningKey::Rsa(pair) => KeyInfo {
                modulus_length: u32::try_from(pair.public_modulus_len() * 8).ok(),
                public_exponent: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            },
            _ => KeyInfo::default(),
        })
    }

    /// Signs.
    pub(super) async fn sign(&self, handles: &Handles, request: SignRequest) -> Result<Bytes, HostCallError> {
        let SignRequest { key, options, data } = request;
        let algorithm = key.algorithm;
        check(&algorithm, options)?;
        let key = self.key(handles, key).await?;
        self.work(move || key.sign(&algorithm, &data)).await
    }

    /// The key that was read before, or reads it.
    async fn key(&self, handles: &Handles, request: KeyRequest) -> Result<Arc<SigningKey>, HostCallError> {
        let kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&request).cloned();
        if let Some(key) = kept {
            return Ok(key);
        }
        let text = fill(handles, &request.material)?;
        let algorithm = request.algorithm;
        let names = handles.names_in(request.material.as_bytes());
        let read = move || {
            let unusable = |error| bad_key(&names, &error);
            SigningKey::read(&text, &algorithm).map(Arc::new).map_err(unusable)
        };
        let key = self.work(read).await?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < KEPT && request.material.len() <= KEPT_MATERIAL {
            keys.insert(request, key.clone());
        }
        Ok(key)
    }

    /// Does what takes a CPU for a while, in turn.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HostCallError> + Send + 'static,
    ) -> Result<T, HostCallError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(transient("the daemon is about to stop, or signing failed inside")))
    }
}

/// Bytes of a key, with its secrets.
const LARGEST_KEY: usize = 1024 * 1024;

fn fill(handles: &Handles, material: &str) -> Result<Zeroizing<String>, HostCallError> {
    let unknown = || {
        permanent(
            "the key is no handle of a secret of this target: take it from `ctx.connection.secrets` of the run",
        )
    };
    let filled = handles.fill(material.as_bytes(), Landing::Raw, LARGEST_KEY, &mut Used::new());
    let filled = filled
        .map_err(|TooLong| permanent(format!("the key is larger than {LARGEST_KEY} bytes")))?
        .ok_or_else(unknown)?;
    String::from_utf8(filled).map(Zeroizing::new).map_err(|_| unknown())
}

/// Somebody has to mend the connection, as after a 401.
fn bad_key(secrets: &Used, error: &dyn std::fmt::Display) -> HostCallError {
    let names = secrets.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    auth(format!("secret {names} cannot be used to sign: {error}"))
}

/// Whether the signature is one that is made here.
fn check(algorithm: &KeyAlgorithm, options: SignOptions) -> Result<(), HostCallError> {
    match algorithm {
        KeyAlgorithm::RsaPss { hash } => {
            let length = size_of(*hash);
            if options.salt_length != Some(length) {
                return Err(permanent(format!(
                    "`saltLength` must be {length}, the length of the hash, to sign with a secret"
                )));
            }
        }
        KeyAlgorithm::Ecdsa { named_curve } => {
            let (hash, name) = match named_curve {
                Curve::P256 => (Digest::Sha256, "SHA-256"),
                Curve::P384 => (Digest::Sha384, "SHA-384"),
                Curve::P521 => (Digest::Sha512, "SHA-512"),
            };
            if options.hash != Some(hash) {
                return Err(permanent(format!("`hash` must be {name} to sign with a secret of this curve")));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Bytes of a hash.
fn size_of(hash: Digest) -> u32 {
    match hash {
        Digest::Sha1 => 20,
        Digest::Sha256 => 32,
        Digest::Sha384 => 48,
        Digest::Sha512 => 64,
    }
}

impl SigningKey {
    fn sign(&self, algorithm: &KeyAlgorithm, data: &[u8]) -> Result<Bytes, HostCallError> {
        let random = SystemRandom::new();
        let signed = match self {
            Self::Hmac(key) => return Ok(Bytes::copy_from_slice(hmac::sign(key, data).as_ref())),
            Self::Ed25519(pair) => pair.try_sign(data),
            Self::Ecdsa(pair) => pair.sign(&random, data),
            Self::Rsa(pair) => return rsa(pair, encoding(algorithm)?, &random, data),
        };
        signed.map(|signature| Bytes::copy_from_slice(signature.as_ref())).map_err(|_| failed())
    }
}

fn rsa(
    pair: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    random: &SystemRandom,
    data: &[u8],
) -> Result<Bytes, HostCallError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, random, data, &mut signature).map_err(|_| failed())?;
    Ok(signature.into())
}

fn encoding(algorithm: &KeyAlgorithm) -> Result<&'static dyn RsaEncoding, HostCallError> {
    Ok(match algorithm {
        KeyAlgorithm::RsaPkcs1 { hash: Digest::Sha256 } => &RSA_PKCS1_SHA256,
        KeyAlgorithm::RsaPkcs1 { hash: Digest::Sha384 } => &RSA_PKCS1_SHA384,
        KeyAlgorithm::RsaPkcs1 { hash: Digest::Sha512 } => &RSA_PKCS1_SHA512,
        KeyAlgorithm::RsaPss { hash: Digest::Sha256 } => &RSA_PSS_SHA256,
        KeyAlgorithm::RsaPss { hash: Digest::Sha384 } => &RSA_PSS_SHA384,
        KeyAlgorithm::RsaPss { hash: Digest::Sha512 } => &RSA_PSS_SHA512,
        _ => return Err(permanent("SHA-1 is too weak for a signature with RSA")),
    })
}

fn failed() -> HostCallError {
    transient("the signature could not be made")
}
