//! PostgreSQL's configuration, written by us at every start.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::EmbeddedError;
use super::layout::Layout;
use super::user::ServiceUser;

/// For a small node: durable, bounded, quick to vacuum the queue. The size of
/// the WAL allows a long checkpoint interval, so that full pages are rare.
const SETTINGS: &str = "\
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 128MB
fsync = on
synchronous_commit = on
wal_compression = on
max_wal_size = 2GB
checkpoint_timeout = 15min
autovacuum_naptime = 10s
idle_in_transaction_session_timeout = 60s
jit = off
lc_messages = 'C'
timezone = 'UTC'
log_timezone = 'UTC'
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] '
";

/// The daemon's role and its database.
pub(super) const NAME: &str = "provisiond";
/// The role that made the cluster.
pub(super) const SUPERUSER: &str = "postgres";

/// Writes the files; `postgres.conf` names the others.
pub(super) fn write(layout: &Layout, socket: &Path, user: &ServiceUser) -> Result<(), EmbeddedError> {
    let (hba, ident) = (layout.beside("-hba.conf"), layout.beside("-ident.conf"));
    put(&hba, b"# Written by provisiond at every start.\nlocal all all peer map=provisiond\n")?;
    put(&ident, ident_map(&user.name).as_bytes())?;
    let mut text = b"# Written by provisiond at every start; yours is postgres.local.conf.\n".to_vec();
    // What initdb found out of the machine, such as which shared memory works.
    set(&mut text, "include ", layout.cluster().join("postgresql.conf").as_os_str().as_bytes());
    text.extend_from_slice(SETTINGS.as_bytes());
    set(&mut text, "unix_socket_directories = ", &list_of(socket));
    set(&mut text, "hba_file = ", hba.as_os_str().as_bytes());
    set(&mut text, "ident_file = ", ident.as_os_str().as_bytes());
    let local = layout.beside(".local.conf");
    if !local.exists() {
        put(&local, b"# Settings here override those in postgres.conf.\n")?;
    }
    set(&mut text, "include ", local.as_os_str().as_bytes());
    put(&layout.beside(".conf"), &text)
}

/// Root and the server's own user may be either role; nobody else gets past
/// the mode of the socket's directory anyway.
fn ident_map(user: &str) -> String {
    let name = user.replace('"', "\"\"");
    let may_be = |role: &str| format!("{NAME} root {role}\n{NAME} \"{name}\" {role}\n");
    format!("# Written by provisiond at every start.\n{}{}", may_be(NAME), may_be(SUPERUSER))
}

/// A list of one path: the inner quotes keep it in one piece.
fn list_of(path: &Path) -> Vec<u8> {
    let mut list =
        path.as_os_str().as_bytes().split(|byte| *byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
    list.insert(0, b'"');
    list.push(b'"');
    list
}

fn set(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.push(b'\'');
    for byte in value {
        if matches!(byte, b'\'' | b'\\') {
            text.push(*byte);
        }
        text.push(*byte);
    }
    text.extend_from_slice(b"'\n");
}

/// Replaces a file at once. The server's user reads it, whatever our umask is;
/// it holds no secrets.
fn put(path: &Path, content: &[u8]) -> Result<(), EmbeddedError> {
    let fresh = path.with_extension("conf.new");
    std::fs::write(&fresh, content)
        .and_then(|()| std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o644)))
        .and_then(|()| std::fs::rename(&fresh, path))
        .map_err(EmbeddedError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        let mut text = Vec::new();
        set(&mut text, "a = ", br"it's \ here");
        assert_eq!(text, b"a = 'it''s \\\\ here'\n");
        assert_eq!(list_of(Path::new("/a \"b\"")), b"\"/a \"\"b\"\"\"");
    }
}
