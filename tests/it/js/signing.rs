//! Signatures with secrets: a real host asks a real egress, and the test checks
//! them with the public key.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use provisiond::domain::status::ErrorClass;
use provisiond::egress::{AllowList, DryRun, Egress, Script, TargetPolicy};
use provisiond::js::RunEnd;
use provisiond::security::NamedSecret;
use serde_json::{Value, json};

use super::support::{run, run_with, start, texts, thrown, value};

/// Runs code that may use the secret `key` as `handle`.
async fn with_secret(secret: &str, body: &str) -> RunEnd {
    with_policy(&policy(&[("key", secret)]), body).await
}

fn policy(secrets: &[(&str, &str)]) -> Arc<TargetPolicy> {
    let secrets = secrets.iter().map(|(name, value)| NamedSecret::new(*name, *value)).collect();
    Arc::new(TargetPolicy::new(AllowList::default(), secrets))
}

async fn with_policy(policy: &Arc<TargetPolicy>, body: &str) -> RunEnd {
    let code = format!(
        "const bytes = (text) => new TextEncoder().encode(text);
        const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
        const base64url = (data) => base64(typeof data === 'string' ? bytes(data) : data)
            .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
        export default async ({{ handle }}) => {{ {body} }}"
    );
    let session = Arc::new(Egress::new().session(policy.clone()));
    let handle = policy.handles().get("key").cloned();
    run_with(&start(&code).await, json!({ "handle": handle }), session).await
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn rsa() -> (RsaKeyPair, String) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let text = pem("PRIVATE KEY", der.as_ref());
    (pair, text)
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> (EcdsaKeyPair, String) {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let text = pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
    (pair, text)
}

/// Has a JWT signed and checks it; returns the `algorithm` of the key.
async fn jwt(secret: &str, [algorithm, scheme]: [&str; 2], check: impl Fn(&[u8], &[u8]) -> bool) -> Value {
    let format = if algorithm.contains("HMAC") { "raw" } else { "pkcs8" };
    let end = with_secret(
        secret,
        &format!(
            "const key = await crypto.subtle.importKey('{format}', handle, {algorithm}, false, ['sign']);
            const text = base64url(JSON.stringify({{ alg: 'x' }})) + '.' + base64url(JSON.stringify({{ iss: 'me' }}));
            const signature = await crypto.subtle.sign({scheme}, key, bytes(text));
            if (!(signature instanceof ArrayBuffer)) throw new Error('it is no ArrayBuffer');
            return {{
                jwt: text + '.' + base64url(signature),
                type: key.type, usages: key.usages, extractable: key.extractable,
                algorithm: {{ ...key.algorithm, publicExponent: Array.from(key.algorithm.publicExponent ?? []) }},
                tag: Object.prototype.toString.call(key), isKey: key instanceof CryptoKey,
            }};"
        ),
    )
    .await;
    assert!(texts(&end.console)[0].starts_with("signed "), "{:?}", end.console);
    let value = value(end);
    let text = value["jwt"].as_str().unwrap();
    let (message, signature) = text.rsplit_once('.').unwrap();
    assert!(check(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()), "{text}");
    assert_eq!(value["type"], if format == "raw" { "secret" } else { "private" });
    assert_eq!((&value["usages"], &value["extractable"]), (&json!(["sign"]), &json!(false)));
    assert_eq!((&value["tag"], &value["isKey"]), (&json!("[object CryptoKey]"), &json!(true)));
    value["algorithm"].clone()
}

fn verifies<'a>(
    algorithm: &'static dyn VerificationAlgorithm,
    public: &'a [u8],
) -> impl Fn(&[u8], &[u8]) -> bool + 'a {
    move |message, signature| UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
}

#[tokio::test]
async fn rsa_signatures_verify() {
    let (pair, secret) = rsa();
    let public = pair.public_key().as_ref();
    let pkcs1 = ["{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }", "'RSASSA-PKCS1-v1_5'"];
    let algorithm = jwt(&secret, pkcs1, verifies(&RSA_PKCS1_2048_8192_SHA256, public)).await;
    assert_eq!(
        algorithm,
        json!({
            "name": "RSASSA-PKCS1-v1_5", "modulusLength": 2048,
            "publicExponent": [1, 0, 1], "hash": { "name": "SHA-256" },
        })
    );
    // As jose asks for it, and with the line ends of a JSON file.
    let pss = ["{ name: 'RSA-PSS', hash: { name: 'sha-256' } }", "{ name: 'RSA-PSS', saltLength: 32 }"];
    let in_json = secret.replace('\n', "\\n");
    jwt(&in_json, pss, verifies(&RSA_PSS_2048_8192_SHA256, public)).await;
}

#[tokio::test]
async fn signatures_of_elliptic_curves_verify() {
    let p256 = ["{ name: 'ECDSA', namedCurve: 'P-256' }", "{ name: 'ECDSA', hash: 'SHA-256' }"];
    let (pair, secret) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let check = verifies(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let algorithm = jwt(&secret, p256, &check).await;
    assert_eq!(algorithm["namedCurve"], "P-256");
    // SEC1, as `openssl ecparam -genkey` writes it.
    let scalar =
        AsDer::<aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key()).unwrap();
    jwt(&pem("EC PRIVATE KEY", scalar.as_ref()), p256, &check).await;

    let (pair, secret) = ec(&ECDSA_P384_SHA384_FIXED_SIGNING);
    let p384 = ["{ name: 'ECDSA', namedCurve: 'P-384' }", "{ name: 'ECDSA', hash: { name: 'SHA-384' } }"];
    jwt(&secret, p384, verifies(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref())).await;

    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.as_ref()).unwrap();
    // DER in base64, without PEM.
    let secret = STANDARD.encode(document.as_ref());
    jwt(&secret, ["{ name: 'Ed25519' }", "'Ed25519'"], verifies(&ED25519, pair.public_key().as_ref())).await;
}

#[tokio::test]
async fn hmacs_verify() {
    let checks = |algorithm: hmac::Algorithm, key: &'static [u8]| {
        move |message: &[u8], tag: &[u8]| hmac::verify(&hmac::Key::new(algorithm, key), message, tag).is_ok()
    };
    for (hash, algorithm, length) in [
        ("SHA-1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 512),
        ("SHA-256", hmac::HMAC_SHA256, 512),
        ("SHA-384", hmac::HMAC_SHA384, 1024),
        ("SHA-512", hmac::HMAC_SHA512, 1024),
    ] {
        let name = format!("{{ name: 'HMAC', hash: '{hash}' }}");
        let shown = jwt("correct horse", [&name, "'hmac'"], checks(algorithm, b"correct horse")).await;
        assert_eq!(shown["length"], length, "not the length of the secret");
    }
    let hex = ["{ name: 'HMAC', hash: 'SHA-256', encoding: 'hex' }", "'HMAC'"];
    jwt("00ff10", hex, checks(hmac::HMAC_SHA256, &[0, 255, 16])).await;
}

/// AWS Signature Version 4 puts a prefix before the key; jose wants bytes.
#[tokio::test]
async fn a_handle_may_stand_in_more_text_and_may_come_as_bytes() {
    let end = with_secret(
        "correct horse",
        "const hmac = { name: 'HMAC', hash: 'SHA-256' };
        const sign = async (material) =>
            base64(await crypto.subtle.sign('HMAC', await crypto.subtle.importKey('raw', material, hmac, false, ['sign']), bytes('m')));
        return [await sign('AWS4' + handle), await sign(bytes(handle)), await sign(bytes('plain'))];",
    )
    .await;
    let tag =
        |key: &str| STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), b"m"));
    assert_eq!(value(end), json!([tag("AWS4correct horse"), tag("correct horse"), tag("plain")]));
}

/// What `code` throws, and its class.
async fn refused(secret: &str, code: &str) -> (String, Option<ErrorClass>) {
    let thrown = thrown(with_secret(secret, code).await);
    assert!(!thrown.message.contains(secret), "{}", thrown.message);
    (thrown.message, thrown.error_class)
}

#[tokio::test]
async fn a_key_of_the_wrong_kind_is_refused() {
    let import = |algorithm: &str| {
        format!("await crypto.subtle.importKey('pkcs8', handle, {algorithm}, false, ['sign'])")
    };
    let (_, secret) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    for algorithm in
        ["{ name: 'RSA-PSS', hash: 'SHA-256' }", "{ name: 'ECDSA', namedCurve: 'P-384' }", "'Ed25519'"]
    {
        let (message, class) = refused(&secret, &import(algorithm)).await;
        assert!(
            message.starts_with("secret `key` cannot be used to sign: it is not a private key for "),
            "{message}"
        );
        assert_eq!(class, Some(ErrorClass::Auth));
    }
    let (message, _) = refused("hunter2!", &import("'Ed25519'")).await;
    assert_eq!(message, "secret `key` cannot be used to sign: it is not valid base64, nor PEM");
}

#[tokio::test]
async fn a_secret_can_do_nothing_but_sign() {
    let hmac = "{ name: 'HMAC', hash: 'SHA-256' }";
    for (code, said) in [
        (
            format!("await crypto.subtle.importKey('raw', handle, {hmac}, false, ['sign', 'verify'])"),
            "a secret can be used to sign only",
        ),
        (
            format!("await crypto.subtle.importKey('raw', handle, {hmac}, true, ['sign'])"),
            "a secret cannot be extractable",
        ),
        (
            "await crypto.subtle.importKey('raw', handle, 'AES-GCM', false, ['encrypt'])".to_owned(),
            "to sign with a secret, the algorithm must be one of HMAC, RSASSA-PKCS1-v1_5, RSA-PSS, ECDSA, Ed25519",
        ),
        (
            format!("await crypto.subtle.importKey('pkcs8', handle, {hmac}, false, ['sign'])"),
            "a secret is imported for HMAC as \"raw\", not \"pkcs8\"",
        ),
        (format!("await crypto.subtle.importKey('raw', handle, {hmac}, false)"), ""),
    ] {
        let (message, _) = refused("correct horse", &code).await;
        assert!(message.contains(said), "{message}");
    }
    let end = with_secret(
        "correct horse",
        &format!(
            "const key = await crypto.subtle.importKey('raw', handle, {hmac}, false, ['sign']);
            const failed = async (use) => {{ try {{ await use(); return 'done'; }} catch (error) {{ return error.name; }} }};
            return [
                await failed(() => crypto.subtle.exportKey('raw', key)),
                await failed(() => crypto.subtle.exportKey('jwk', key)),
                await failed(() => crypto.subtle.verify('HMAC', key, new Uint8Array(32), bytes('m'))),
                await failed(() => crypto.subtle.sign('HMAC', structuredClone(key), bytes('m'))),
                await failed(() => crypto.subtle.sign('Ed25519', key, bytes('m'))),
                await failed(() => crypto.subtle.sign('HMAC', key, 'text')),
                await failed(() => crypto.subtle.sign('HMAC', key, new Uint8Array(1024 * 1024 + 1))),
                typeof CryptoKey.exportNodeMaterial,
            ];"
        ),
    )
    .await;
    let found = value(end);
    for refused in &found.as_array().unwrap()[..4] {
        assert!(["InvalidAccessError", "TypeError"].contains(&refused.as_str().unwrap()), "{found}");
    }
    assert_eq!(
        &found.as_array().unwrap()[4..],
        [json!("InvalidAccessError"), json!("TypeError"), json!("HostCallError"), json!("undefined")]
    );
}

#[tokio::test]
async fn signatures_that_are_not_made_are_refused_with_a_reason() {
    let (_, secret) = rsa();
    let sign = |algorithm: &str, scheme: &str| {
        format!(
            "const key = await crypto.subtle.importKey('pkcs8', handle, {algorithm}, false, ['sign']);
            await crypto.subtle.sign({scheme}, key, bytes('m'));"
        )
    };
    let (message, class) = refused(
        &secret,
        &sign("{ name: 'RSA-PSS', hash: 'SHA-512' }", "{ name: 'RSA-PSS', saltLength: 20 }"),
    )
    .await;
    assert_eq!(message, "`saltLength` must be 64, the length of the hash, to sign with a secret");
    assert_eq!(class, Some(ErrorClass::Permanent));
    let sha1 = sign("{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1' }", "'RSASSA-PKCS1-v1_5'");
    assert_eq!(refused(&secret, &sha1).await.0, "SHA-1 is too weak for a signature with RSA");
    let (_, secret) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let mixed = sign("{ name: 'ECDSA', namedCurve: 'P-256' }", "{ name: 'ECDSA', hash: 'SHA-384' }");
    assert_eq!(
        refused(&secret, &mixed).await.0,
        "`hash` must be SHA-256 to sign with a secret of this curve"
    );
}

#[tokio::test]
async fn a_handle_of_another_target_is_unknown() {
    let other = policy(&[("key", "correct horse")]).handles()["key"].clone();
    let code = format!(
        "await crypto.subtle.importKey('raw', '{other}', {{ name: 'HMAC', hash: 'SHA-256' }}, false, ['sign'])"
    );
    for policy in [policy(&[("key", "correct horse")]), policy(&[])] {
        let thrown = thrown(with_policy(&policy, &code).await);
        assert_eq!(
            thrown.message,
            "the key is no handle of a secret of this target: take it from `ctx.connection.secrets` of the run"
        );
        assert_eq!(thrown.error_class, Some(ErrorClass::Permanent));
    }
}

#[tokio::test]
async fn keys_outlive_a_run_and_are_no_use_without_one() {
    let policy = policy(&[("key", "correct horse")]);
    let host = start(
        "let key;
        export default async ({ handle }) => {
            key ??= await crypto.subtle.importKey('raw', handle, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
            const signed = await crypto.subtle.sign('HMAC', key, new Uint8Array(3));
            return signed.byteLength;
        }",
    )
    .await;
    let context = json!({ "handle": policy.handles()["key"] });
    for _ in 0..2 {
        let session = Arc::new(Egress::new().session(policy.clone()));
        let end = run_with(&host, context.clone(), session).await;
        assert_eq!(texts(&end.console).len(), 1, "each run says once that it signed");
        assert_eq!(value(end), json!(32));
    }
    assert_eq!(thrown(run(&host, context).await).message, "there are no secrets to sign with here");
}

/// What is signed is not sent: a dry run needs the signature to get its token.
#[tokio::test]
async fn a_dry_run_signs_as_well() {
    let policy = policy(&[("key", "correct horse")]);
    let host = start(
        "export default async ({ handle }) => {
            const hmac = { name: 'HMAC', hash: 'SHA-256' };
            const key = await crypto.subtle.importKey('raw', handle, hmac, false, ['sign']);
            return Array.from(new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode('m'))));
        }",
    )
    .await;
    let session = Egress::new().session(policy.clone());
    let dry = Arc::new(DryRun::new(session, Script::default(), false));
    let end = run_with(&host, json!({ "handle": policy.handles()["key"] }), dry).await;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"correct horse"), b"m");
    assert_eq!(value(end), json!(tag.as_ref()));
}

#[tokio::test]
async fn signatures_count_as_host_calls() {
    let end = with_secret(
        "correct horse",
        "const key = await crypto.subtle.importKey('raw', handle, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
        for (;;) await crypto.subtle.sign('HMAC', key, bytes('m'));",
    )
    .await;
    assert_eq!(thrown(end).message, "the limit of 1000 host calls in a run was reached");
}

/// The host goes on: only the call fails.
#[tokio::test]
async fn material_and_data_above_the_limit_are_refused() {
    let end = with_secret(
        "correct horse",
        "const hmac = { name: 'HMAC', hash: 'SHA-256' }, most = 1024 * 1024, said = [];
        const attempt = async (material, data) => {
            try {
                const key = await crypto.subtle.importKey('raw', material, hmac, false, ['sign']);
                said.push((await crypto.subtle.sign('HMAC', key, data)).byteLength);
            } catch (error) { said.push(`${error.name} ${error.errorClass}: ${error.message}`); }
        };
        const rest = most - handle.length;
        await attempt(handle + 'x'.repeat(rest), new Uint8Array(most));
        await attempt(handle + '\\x01'.repeat(rest >> 2), new Uint8Array(most));
        await attempt(handle + 'x'.repeat(rest + 1), new Uint8Array(1));
        await attempt(handle + '\\u20ac'.repeat(rest / 2), new Uint8Array(1));
        await attempt(handle + 'x'.repeat(3e6), new Uint8Array(1));
        await attempt(handle, new Uint8Array(most + 1));
        return said;",
    )
    .await;
    let material = "HostCallError permanent: the limit of 1 MiB for the material of a key was reached";
    let data = "HostCallError permanent: the limit of 1 MiB to be signed at once was reached";
    assert_eq!(value(end), json!([32, 32, material, material, material, data]));
}
