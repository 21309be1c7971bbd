//! By which names credentials are known.

/// Members, fields and elements that end with one of these.
const ENDS: [&str; 46] = [
    "password",
    "passwordconfirmation",
    "passwordhash",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "passkey",
    "pincode",
    "secret",
    "secrettext",
    "secretanswer",
    "securityanswer",
    "token",
    "jwt",
    "assertion",
    "samlresponse",
    "apikey",
    "accesskey",
    "accountkey",
    "secretkey",
    "privatekey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "sharedkey",
    "hmackey",
    "sessionkey",
    "sessionid",
    "sessioncookie",
    "credential",
    "recoverycode",
    "backupcode",
    "scratchcode",
    "verificationcode",
    "activationcode",
    "onetimecode",
    "securitycode",
    "accesscode",
    "authcode",
    "otpcode",
    "mfacode",
    "smscode",
    "totpseed",
    "authorization",
    "setcookie",
];
/// Words that they end with, as words of their own: `spin` is none.
const LAST_WORDS: [&str; 12] =
    ["pin", "puk", "otp", "totp", "hotp", "jwt", "pass", "pw", "cvv", "cookie", "bearer", "sid"];
/// Tokens that say where a list goes on are no credentials.
const OF_LISTS: [&str; 6] =
    ["pagetoken", "nexttoken", "skiptoken", "synctoken", "continuationtoken", "cursortoken"];
/// Of a password, which nobody needs again, unlike a token.
const PASSWORDS: [&str; 12] = [
    "password",
    "passwordconfirmation",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "pincode",
    "pin",
    "otp",
    "pass",
    "pw",
    "recoverycode",
];
/// Words in names of header fields whose value is a credential.
const HEADER_WORDS: [&str; 16] = [
    "authorization",
    "cookie",
    "auth",
    "session",
    "sessionid",
    "sid",
    "jwt",
    "otp",
    "pin",
    "password",
    "passwd",
    "pwd",
    "passcode",
    "credential",
    "assertion",
    "signature",
];

/// Header fields whose value is a credential.
pub(in crate::egress) fn is_credential_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "secret", "api-key", "apikey", "access-key"].iter().any(|part| name.contains(part))
        || name.split(['-', '_']).any(|word| HEADER_WORDS.contains(&singular(word)))
}

/// Members, fields and elements whose value is a credential, one or many of them.
/// What is called `credentials` has more in it, by names of its own.
pub(super) fn is_credential_key(key: &str) -> bool {
    let word = joined(key);
    if word.ends_with("credentials") {
        return false;
    }
    let word = singular(&word);
    // Most names are told by their last letter, and there are many names.
    let last = word.as_bytes().last();
    let ends = |ends: &[&str]| ends.iter().any(|end| end.as_bytes().last() == last && word.ends_with(end));
    if ends(&OF_LISTS) {
        return false;
    }
    ends(&ENDS) || is_word(key, word, &LAST_WORDS) || matches!(word, "xauth" | "xsession")
}

/// Of these, those whose value is a password.
pub(super) fn is_password_key(key: &str) -> bool {
    let word = joined(key);
    let word = singular(&word);
    PASSWORDS.iter().any(|end| end.len() > 4 && word.ends_with(end))
        || word.ends_with("pwd")
        || is_word(key, word, &PASSWORDS)
}

/// Letters and digits in lower case, without the number at the end.
fn joined(key: &str) -> String {
    let key = key.trim_end_matches(|c: char| !c.is_alphabetic());
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn singular(word: &str) -> &str {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    match word.strip_suffix('s') {
        Some(one) if !one.ends_with('s') => one,
        _ => word,
    }
}

/// Whether the key, in one word or by its last one, is one of these.
fn is_word(key: &str, joined: &str, words: &[&str]) -> bool {
    words.contains(&joined) || words.iter().any(|word| joined.ends_with(word) && begins_word(key, word))
}

/// Whether the end of the key that is this word begins at a boundary: `userPin`,
/// `user_pin`, `userPIN`, not `spin`.
fn begins_word(key: &str, word: &str) -> bool {
    let key = key.trim_end_matches(|c: char| !c.is_alphabetic());
    let lower = key.to_lowercase();
    // Lower case may have other lengths outside of ASCII; no word has it.
    let lower = if lower.len() == key.len() { lower } else { key.to_ascii_lowercase() };
    let end = if lower.ends_with(word) { lower.len() } else { lower.len() - 1 };
    let Some(start) = end.checked_sub(word.len()) else { return false };
    let (Some(before), Some(rest)) = (key.get(..start), key.get(start..)) else { return false };
    let (last, first) = (before.chars().next_back(), rest.chars().next());
    match (last, first) {
        (None, _) => true,
        (Some(last), Some(first)) => !last.is_alphabetic() || last.is_lowercase() && first.is_uppercase(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_names() {
        for key in [
            "password",
            "newPassword",
            "user[password]",
            "password_confirmation",
            "urn:ietf:params:scim:schemas:core:2.0:User:password",
            "access_token",
            "clientSecret",
            "X-Api-Key",
            "SecretAccessKey",
            "passwords",
            "password1",
            "password_2",
            "Passwords3",
            "tokens",
            "otp",
            "OTP",
            "otps",
            "userOtp",
            "pin",
            "PIN",
            "pins",
            "userPin",
            "user_pin",
            "userPIN",
            "pin2",
            "jwt",
            "idJWT",
            "sessionId",
            "session_id",
            "JSESSIONID",
            "recoveryCodes",
            "backup_codes",
            "x-auth",
            "x-session",
            "credential",
            "unicodePwd",
            "pass",
            "db_pass",
            "authorization",
            "set-cookie",
            "cookies",
        ] {
            assert!(is_credential_key(key), "{key}");
        }
        for key in [
            "passwordPolicies",
            "credentials",
            "tokenType",
            "expires",
            "nextPageToken",
            "nextPageTokens",
            "$skiptoken",
            "spin",
            "opinion",
            "shipping",
            "mapping",
            "desktop",
            "compass",
            "bypass",
            "session",
            "code",
            "countryCode",
            "author",
            "inside",
            "side",
            "12",
            "",
            "ß",
        ] {
            assert!(!is_credential_key(key), "{key}");
        }
    }

    #[test]
    fn passwords_are_some_of_them() {
        for key in
            ["password", "newPasswords", "password1", "unicodePwd", "userPin", "otp", "pass", "recoveryCodes"]
        {
            assert!(is_credential_key(key) && is_password_key(key), "{key}");
        }
        for key in ["access_token", "sessionId", "apiKey", "clientSecret", "userName", "spin"] {
            assert!(!is_password_key(key), "{key}");
        }
    }

    #[test]
    fn so_are_header_fields() {
        for name in [
            "authorization",
            "proxy-authorization",
            "Cookie",
            "set-cookie",
            "x-auth",
            "x-session",
            "x-session-id",
            "x-auth-key",
            "x-api-key",
            "x-csrf-token",
            "x-user-password",
            "x-otp",
            "x-hub-signature-256",
        ] {
            assert!(is_credential_header(name), "{name}");
        }
        for name in ["content-type", "www-authenticate", "x-author", "location", "etag", "x-request-id"] {
            assert!(!is_credential_header(name), "{name}");
        }
    }
}
