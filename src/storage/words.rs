//! What libpq says of a connection that failed, without parts of the URL that
//! nobody is to read. It quotes what it could not make sense of, and when a
//! password has a character that should have been percent-encoded, that is a
//! part of the password.

use url::Url;

const UNREADABLE: &str = "libpq does not understand the database's URL; it must be like \
    postgres://user:password@host:5432/database, with percent-encoded characters in the password";

/// The message, in which only the host, the port, the user and the database are
/// quoted, and only when there is no doubt which they are.
pub(super) fn without_parts_of(url: &str, message: &str) -> String {
    let Some(parts) =
        Parts::of(url).filter(|_| !message.contains("URI") && !message.contains("connection option"))
    else {
        return UNREADABLE.to_owned();
    };
    let mut pieces = message.split('"');
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    // Between the first and the second mark, the third and the fourth …
    while let Some(quoted) = pieces.next() {
        let quoted = if parts.may_show(quoted) { quoted } else { "…" };
        shown.push_str(&format!("\"{quoted}\""));
        shown.push_str(pieces.next().unwrap_or_default());
    }
    if parts.secret.as_ref().is_some_and(|secret| shown.contains(secret.as_str())) {
        return UNREADABLE.to_owned();
    }
    shown
}

struct Parts {
    shown: Vec<String>,
    /// The directory of a socket.
    socket: Option<String>,
    secret: Option<String>,
}

impl Parts {
    /// `None` when the URL can be understood in more than one way.
    fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        // A password with a slash in it, which libpq takes for the database.
        if url.path().contains('@')
            || url.query().is_some_and(|query| query.contains('@'))
            || url.fragment().is_some()
        {
            return None;
        }
        let mut shown = vec![percent_decoded(url.username())];
        shown.extend(url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
        shown.extend(url.port().map(|port| port.to_string()));
        shown.push(percent_decoded(url.path().trim_start_matches('/')));
        let mut socket = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" | "port" | "user" | "dbname" => shown.push(value.clone().into_owned()),
                _ => {}
            }
            if name == "host" && value.starts_with('/') {
                socket = Some(value.into_owned());
            }
        }
        let secret = url.password().map(percent_decoded).filter(|secret| secret.len() >= 3);
        Some(Self { shown, socket, secret })
    }

    fn may_show(&self, quoted: &str) -> bool {
        let in_socket = |socket: &String| quoted.starts_with(socket.as_str());
        self.shown.iter().any(|part| part == quoted) || self.socket.as_ref().is_some_and(in_socket)
    }
}

fn percent_decoded(text: &str) -> String {
    let pair = format!("a={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_server_is_shown() {
        for (url, message) in [
            (
                "postgres://ada:hunter2@db.example:5433/people",
                "connection to server at \"db.example\" (10.0.0.1), port 5433 failed: FATAL:  password authentication failed for user \"ada\"",
            ),
            (
                "postgres://a%40b@db/people",
                "FATAL:  role \"a@b\" does not exist; database \"people\" does not exist",
            ),
            (
                "postgres:///p?host=/run/pg&user=ada",
                "connection to server on socket \"/run/pg/.s.PGSQL.5432\" failed: No such file or directory",
            ),
        ] {
            assert_eq!(without_parts_of(url, message), message);
        }
    }

    #[test]
    fn what_may_be_a_part_of_a_password_is_not() {
        for (url, message) in [
            (
                "postgres://u:sec@ret@db/p",
                "could not translate host name \"ret@db\" to address: Name or service not known",
            ),
            ("postgres://u:sec/ret@db/p", "invalid port number: \"sec\""),
            ("postgres://u:12/ret@db/p", "connection to server at \"u\" (10.0.0.1), port 12 failed: ret@db"),
            ("postgres://u:sec%ret@db/p", "invalid percent-encoded token: \"sec%ret\""),
            ("postgres://u:s@db/p?pass=secret", "invalid URI query parameter: \"pass\" secret"),
            ("host=db password=secret", "missing \"=\" after \"secret\" in connection info string"),
            ("postgres://u:secret@db/p", "it is the secret, said the server"),
        ] {
            let shown = without_parts_of(url, message);
            for part in ["sec", "ret", "12"] {
                let allowed = shown == UNREADABLE || !shown.contains(part);
                assert!(allowed, "{url}: {shown}");
            }
        }
    }
}
