//! The extensions of a host: the official ones for the web's globals, with
//! their scripts embedded, and our own.

use std::borrow::Cow;
use std::sync::Arc;

use deno_core::{Extension, ExtensionFileSource, ascii_str_include};

use super::ops;

const WEBIDL: &[ExtensionFileSource] = &include!(concat!(env!("OUT_DIR"), "/deno_webidl.rs"));
const WEB: &[ExtensionFileSource] = &include!(concat!(env!("OUT_DIR"), "/deno_web.rs"));
const FETCH: &[ExtensionFileSource] = &include!(concat!(env!("OUT_DIR"), "/deno_fetch.rs"));
const CRYPTO: &[ExtensionFileSource] = &include!(concat!(env!("OUT_DIR"), "/deno_crypto.rs"));

/// The host's own scripts, by the names under which they load each other.
const HOST: &[ExtensionFileSource] = &[
    ExtensionFileSource::new("ext:provisiond/calls.js", ascii_str_include!("bootstrap/calls.js")),
    ExtensionFileSource::new("ext:provisiond/console.js", ascii_str_include!("bootstrap/console.js")),
    ExtensionFileSource::new("ext:provisiond/fetch.js", ascii_str_include!("bootstrap/fetch.js")),
    ExtensionFileSource::new("ext:provisiond/freeze.js", ascii_str_include!("bootstrap/freeze.js")),
    ExtensionFileSource::new("ext:provisiond/globals.js", ascii_str_include!("bootstrap/globals.js")),
    ExtensionFileSource::new("ext:provisiond/intl.js", ascii_str_include!("bootstrap/intl.js")),
    ExtensionFileSource::new("ext:provisiond/run.js", ascii_str_include!("bootstrap/run.js")),
    ExtensionFileSource::new("ext:provisiond/samples.js", ascii_str_include!("bootstrap/samples.js")),
    ExtensionFileSource::new("ext:provisiond/scope.js", ascii_str_include!("bootstrap/scope.js")),
    ExtensionFileSource::new("ext:provisiond/secrets.js", ascii_str_include!("bootstrap/secrets.js")),
    ExtensionFileSource::new("ext:provisiond/signing.js", ascii_str_include!("bootstrap/signing.js")),
    ExtensionFileSource::new("ext:provisiond/strict_json.js", ascii_str_include!("bootstrap/strict_json.js")),
    ExtensionFileSource::new("ext:provisiond/testing.js", ascii_str_include!("bootstrap/testing.js")),
    ExtensionFileSource::new(
        "ext:provisiond/testing_check.js",
        ascii_str_include!("bootstrap/testing_check.js"),
    ),
    ExtensionFileSource::new("ext:provisiond/thrown.js", ascii_str_include!("bootstrap/thrown.js")),
    ExtensionFileSource::new("ext:provisiond/timers.js", ascii_str_include!("bootstrap/timers.js")),
];

/// `Request` asks for the client class of Deno's own `fetch`, which is not here.
const NO_HTTP_CLIENT: ExtensionFileSource = ExtensionFileSource::new(
    "ext:deno_fetch/22_http_client.js",
    ascii_str_include!("bootstrap/no_http_client.js"),
);

/// Every extension, in the order of their dependencies.
pub(super) fn all() -> Vec<Extension> {
    let mut host = ops::provisiond::init();
    host.lazy_loaded_js_files = Cow::Borrowed(HOST);
    vec![
        with_scripts(deno_webidl::deno_webidl::init(), WEBIDL),
        with_scripts(
            deno_web::deno_web::init(
                Arc::new(deno_web::BlobStore::default()),
                None,
                false,
                deno_web::InMemoryBroadcastChannel::default(),
            ),
            WEB,
        ),
        with_scripts(deno_crypto::deno_crypto::init(None), CRYPTO),
        fetch_without_network(),
        host,
    ]
}

/// Headers, Request, Response and bodies of `deno_fetch`; none of its ops.
fn fetch_without_network() -> Extension {
    let mut scripts = FETCH.to_vec();
    scripts.push(NO_HTTP_CLIENT);
    Extension {
        name: "deno_fetch",
        deps: &["deno_webidl", "deno_web"],
        lazy_loaded_js_files: Cow::Owned(scripts),
        ..Extension::default()
    }
}

fn with_scripts(mut extension: Extension, scripts: &'static [ExtensionFileSource]) -> Extension {
    extension.lazy_loaded_js_files = Cow::Borrowed(scripts);
    extension.lazy_loaded_esm_files = Cow::Borrowed(&[]);
    extension
}
