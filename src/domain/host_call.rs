//! What logic may ask of the daemon while it runs, and what it gets back. The
//! JavaScript process speaks these types; `egress` answers them.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::status::ErrorClass;

/// An HTTP request that logic made with `fetch` (Fetch standard §2.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Upper-case method.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Names are lower-case; a name may stand more than once.
    pub headers: Vec<(String, String)>,
    /// The whole body, `None` when there is none.
    pub body: Option<Bytes>,
    /// What to do with a 3xx answer.
    pub redirect: Redirect,
    /// What logic says that it does, `None` when it leaves that to the request.
    pub effect: Option<Effect>,
}

/// The `effect` member that logic may give to `fetch`. Only a dry run asks for
/// it: reads are sent, writes are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It changes nothing there, such as a search by POST.
    Read,
    /// It changes something there, such as a GET that confirms.
    Write,
}

/// The `redirect` member of a request (Fetch standard §2.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    /// Logic said nothing: as `follow`, but what writes is not sent on by an answer
    /// that may make something else of it.
    #[default]
    #[serde(skip)]
    Unsaid,
    /// Follow up to 10 hops, each checked again.
    Follow,
    /// Fail.
    Error,
    /// Hand the 3xx to logic.
    Manual,
}

/// The answer to a [`FetchRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// Three digits.
    pub status: u16,
    /// Reason phrase, may be empty.
    pub status_text: String,
    /// The URL that answered, after redirects.
    pub url: String,
    /// Whether a redirect was followed.
    pub redirected: bool,
    /// Names are lower-case.
    pub headers: Vec<(String, String)>,
    /// The body; in a [`Fetched`] with a rest only its beginning.
    pub body: Bytes,
}

/// An answer as it comes: the head, as much of the body as was there with it,
/// and the rest.
pub struct Fetched {
    /// The head and the beginning of the body.
    pub response: FetchResponse,
    /// What follows in the body, `None` when that was all.
    pub rest: Option<BodyStream>,
}

/// The rest of a body in parts, none of them empty. Nothing follows a failure;
/// dropping it abandons the answer.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, HostCallError>> + Send>>;

impl Fetched {
    /// The answer with its whole body.
    pub async fn whole(self) -> Result<FetchResponse, HostCallError> {
        let Self { mut response, rest } = self;
        let Some(mut rest) = rest else { return Ok(response) };
        let mut body = BytesMut::from(response.body);
        while let Some(part) = rest.next().await {
            body.extend_from_slice(&part?);
        }
        response.body = body.freeze();
        Ok(response)
    }
}

impl From<FetchResponse> for Fetched {
    fn from(response: FetchResponse) -> Self {
        Self { response, rest: None }
    }
}

/// How the text of a secret becomes a key that signs (Web Cryptography §14.3.9,
/// `importKey`). The key itself never leaves the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyRequest {
    /// The handle of a secret, or a text with one in it.
    pub material: String,
    /// What the key is for.
    pub algorithm: KeyAlgorithm,
}

/// The algorithm of a signing key, by the names of Web Cryptography.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "name", rename_all_fields = "camelCase")]
pub enum KeyAlgorithm {
    /// RFC 2104.
    #[serde(rename = "HMAC")]
    Hmac {
        /// The hash function within.
        hash: Digest,
        /// How the text stands for bytes.
        encoding: KeyEncoding,
    },
    /// RFC 8017 §8.2.
    #[serde(rename = "RSASSA-PKCS1-v1_5")]
    RsaPkcs1 {
        /// Of the message.
        hash: Digest,
    },
    /// RFC 8017 §8.1.
    #[serde(rename = "RSA-PSS")]
    RsaPss {
        /// Of the message and of the mask.
        hash: Digest,
    },
    /// FIPS 186-5 §6.
    #[serde(rename = "ECDSA")]
    Ecdsa {
        /// The curve of the key.
        named_curve: Curve,
    },
    /// RFC 8032.
    Ed25519,
}

impl KeyAlgorithm {
    /// As Web Cryptography calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hmac { .. } => "HMAC",
            Self::RsaPkcs1 { .. } => "RSASSA-PKCS1-v1_5",
            Self::RsaPss { .. } => "RSA-PSS",
            Self::Ecdsa { .. } => "ECDSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

/// A hash function (FIPS 180-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Digest {
    /// Broken for signatures, still good within an HMAC.
    #[serde(rename = "SHA-1")]
    Sha1,
    /// 256 bits.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// 384 bits.
    #[serde(rename = "SHA-384")]
    Sha384,
    /// 512 bits.
    #[serde(rename = "SHA-512")]
    Sha512,
}

/// An elliptic curve (NIST SP 800-186).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Curve {
    /// Signs with SHA-256.
    #[serde(rename = "P-256")]
    P256,
    /// Signs with SHA-384.
    #[serde(rename = "P-384")]
    P384,
    /// Signs with SHA-512.
    #[serde(rename = "P-521")]
    P521,
}

/// How the text of a secret stands for the bytes of an HMAC key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// The bytes of the text itself.
    #[default]
    Utf8,
    /// RFC 4648 §4 or §5.
    Base64,
    /// RFC 4648 §8.
    Hex,
}

/// What may be known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    /// Bits of an RSA modulus.
    pub modulus_length: Option<u32>,
    /// The exponent of an RSA key, big-endian.
    pub public_exponent: Vec<u8>,
}

/// Data that logic wants signed (Web Cryptography §14.3.3, `sign`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// With what.
    pub key: KeyRequest,
    /// What the algorithm leaves to each signature.
    pub options: SignOptions,
    /// What to sign, before it is hashed.
    pub data: Bytes,
}

/// What an algorithm leaves to each signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SignOptions {
    /// Bytes of salt in RSA-PSS.
    pub salt_length: Option<u32>,
    /// The hash function of ECDSA.
    pub hash: Option<Digest>,
}

/// A host call that could not be done. Logic sees it as a thrown error that
/// carries `errorClass` and `retryAfter`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostCallError {
    /// Decides about the retry when logic does not catch it.
    pub class: ErrorClass,
    /// One sentence, without secrets.
    pub message: String,
    /// What the remote asked for.
    pub retry_after: Option<Duration>,
}

/// The future of a host call.
pub type HostCallFuture<T> = Pin<Box<dyn Future<Output = Result<T, HostCallError>> + Send>>;

/// The daemon's side of one run: every effect that logic can have goes through
/// here. Calls may come concurrently; dropping a future abandons the call.
pub trait HostCalls: Send + Sync {
    /// The run begins, maybe anew; it is given up when it `ends`.
    fn begin(&self, ends: Instant) {
        let _ = ends;
    }

    /// The run has ended by itself: that its calls are given up now says nothing of
    /// whom they called.
    fn end(&self) {}

    /// Does an HTTP request.
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched>;

    /// Reads a secret as a key, and says what may be known of it.
    fn inspect_key(&self, _: KeyRequest) -> HostCallFuture<KeyInfo> {
        Box::pin(std::future::ready(Err(no_keys())))
    }

    /// Signs with a secret; answers with the signature in the form of Web
    /// Cryptography.
    fn sign(&self, _: SignRequest) -> HostCallFuture<Bytes> {
        Box::pin(std::future::ready(Err(no_keys())))
    }
}

/// Of those who have no secrets.
fn no_keys() -> HostCallError {
    let message = "there are no secrets to sign with here".to_owned();
    HostCallError { class: ErrorClass::Permanent, message, retry_after: None }
}

/// One line that logic wrote with `console`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: ConsoleLevel,
    /// Milliseconds since the run began.
    #[serde(rename = "atMs")]
    pub at_ms: u64,
    /// The text, cut at the console limit.
    pub text: String,
}

/// Severity of a console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleLevel {
    /// `console.debug`, `console.trace`
    Debug,
    /// `console.log`, `console.info`
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`, `console.assert`
    Error,
}

/// One HTTP exchange of a run as the log keeps it, with secrets removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The request.
    pub request: ExchangeRequest,
    /// The answer, absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ExchangeResponse>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The class of the failure, absent when it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<ErrorClass>,
    /// Seconds that the remote asked to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// In a run that was not real: where the answer came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Handling>,
}

/// What became of a request in a run that was not real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// It was sent; the external system answered.
    Sent,
    /// It would change something and was not sent; the answer is a plausible one.
    Recorded,
    /// It only reads and was not sent; the answer goes with what was recorded
    /// before, or there is nobody to ask.
    Pretended,
    /// It was not sent; whoever tries gave the answer.
    Scripted,
    /// It was not sent; the answer is that of an earlier run.
    Replayed,
}

/// The request half of an [`Exchange`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRequest {
    /// Upper-case method.
    pub method: String,
    /// Absolute URL, secrets removed.
    pub url: String,
    /// Secrets removed.
    pub headers: Vec<(String, String)>,
    /// The body as text, cut at the log's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The response half of an [`Exchange`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeResponse {
    /// Three digits.
    pub status: u16,
    /// Secrets removed.
    pub headers: Vec<(String, String)>,
    /// The body as text, cut at the log's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}
