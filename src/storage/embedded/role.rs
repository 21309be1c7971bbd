//! The daemon's role and database. The role owns the database and is no superuser:
//! who gets a statement in reads no files and starts no programs by it.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::{ConnectionError, ConnectionResult};

use super::server::url_of;
use super::settings::{NAME, SUPERUSER};

/// Makes sure that the daemon can connect: makes role and database where they are
/// missing, and takes superuser rights away from a role that has them.
pub(super) fn make_ready(socket: &Path) -> ConnectionResult<()> {
    match PgConnection::establish(&url_of(NAME, NAME, socket)) {
        Ok(mut own) => {
            if is_superuser(&mut own)? {
                demote(&mut own, socket)?;
            }
            Ok(())
        }
        // Neither names nor messages are anybody's but ours here.
        Err(ConnectionError::BadConnection(message)) if message.contains("does not exist") => make(socket),
        Err(error) => Err(error),
    }
}

fn make(socket: &Path) -> ConnectionResult<()> {
    let mut superuser = PgConnection::establish(&url_of(SUPERUSER, "postgres", socket))?;
    run(
        &mut superuser,
        &format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{NAME}') THEN \
             CREATE ROLE {NAME} LOGIN; END IF; END $$"
        ),
    )?;
    run(&mut superuser, &format!("CREATE DATABASE {NAME} OWNER {NAME}"))
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

fn is_superuser(connection: &mut PgConnection) -> ConnectionResult<bool> {
    let query = "SELECT rolsuper AS answer FROM pg_roles WHERE rolname = current_user";
    let found: Answer = diesel::sql_query(query)
        .get_result(connection)
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(found.answer)
}

/// In clusters of before, the daemon's role was the one that made the cluster,
/// which PostgreSQL lets nobody take rights from. So it gets another name, and the
/// daemon another role, to which everything is given.
fn demote(own: &mut PgConnection, socket: &Path) -> ConnectionResult<()> {
    log::info!("the role `{NAME}` of the embedded PostgreSQL is made an ordinary one");
    run(
        own,
        &format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SUPERUSER}') THEN \
             CREATE ROLE {SUPERUSER} SUPERUSER LOGIN; END IF; END $$"
        ),
    )?;
    let mut superuser = PgConnection::establish(&url_of(SUPERUSER, NAME, socket))?;
    run(
        &mut superuser,
        &format!(
            "BEGIN;
             ALTER ROLE {NAME} RENAME TO {NAME}_former;
             CREATE ROLE {NAME} LOGIN;
             ALTER DATABASE {NAME} OWNER TO {NAME};
             DO $$ DECLARE statement text; BEGIN
                FOR statement IN
                    SELECT format('ALTER TABLE %s OWNER TO {NAME}', c.oid::regclass) FROM pg_class c
                     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
                    UNION ALL
                    SELECT format('ALTER SEQUENCE %s OWNER TO {NAME}', c.oid::regclass) FROM pg_class c
                     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S' AND NOT EXISTS (
                        SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
                           AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
                    UNION ALL
                    SELECT format('ALTER ROUTINE %s OWNER TO {NAME}', p.oid::regprocedure) FROM pg_proc p
                     WHERE p.pronamespace = 'public'::regnamespace
                    UNION ALL
                    SELECT format('ALTER TYPE %s OWNER TO {NAME}', t.oid::regtype) FROM pg_type t
                     WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd')
                LOOP EXECUTE statement; END LOOP;
             END $$;
             ALTER SCHEMA public OWNER TO {NAME};
             COMMIT"
        ),
    )
}

fn run(connection: &mut PgConnection, statements: &str) -> ConnectionResult<()> {
    connection.batch_execute(statements).map_err(ConnectionError::CouldntSetupConfiguration)
}
