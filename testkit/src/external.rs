//! A server that was running before us and goes on after us: whatever we leave there, the next run must find.
//!
//! Each run has a name, which starts the names of its databases and is the `application_name` of one session that stays
//! open. A database whose run has no such session is left over from a process that was killed. (An advisory lock would
//! not do: it belongs to one database, and two runs may connect to different ones.)

use sqlx::postgres::PgConnection;
use url::Url;

use crate::{Error, blocking, connection};

/// How every name of ours starts on a server that others use too.
pub(crate) const PREFIX: &str = "threadline_test_";

/// Checks the role's rights, makes this run known, and removes what dead runs left.
pub(crate) fn register(maintenance: &Url, run: &str) -> Result<(), Error> {
    let url = maintenance.as_str().to_owned();
    let run = run.to_owned();
    blocking::wait(async move {
        let mut session = connection::connect(&url, &run).await?;
        check_rights(&mut session).await?;
        remove_leftovers(&mut session, &url).await?;
        // Until the process ends: this session is what tells other runs that our databases are in use.
        blocking::detach(async move {
            std::future::pending::<()>().await;
            drop(session);
        });
        Ok(())
    })
}

async fn check_rights(session: &mut PgConnection) -> Result<(), Error> {
    let sql = "SELECT current_user FROM pg_roles WHERE rolname = current_user AND (rolcreatedb OR rolsuper)";
    if connection::fetch(session, sql.to_owned()).await?.is_empty() {
        return Err(Error::new(
            "its role may not create databases; grant it with ALTER ROLE .. CREATEDB, or name another role",
        ));
    }
    Ok(())
}

async fn remove_leftovers(session: &mut PgConnection, url: &str) -> Result<(), Error> {
    // A run's name is the prefix, a process id and eight hexadecimal digits.
    let sql = format!(
        "SELECT d.datname FROM pg_catalog.pg_database AS d \
         WHERE d.datname ~ '^{PREFIX}[0-9]+_[0-9a-f]{{8}}_(template)?[0-9]+$' \
           AND NOT EXISTS ( \
             SELECT FROM pg_catalog.pg_stat_activity AS a \
             WHERE a.application_name = substring(d.datname FROM '^{PREFIX}[0-9]+_[0-9a-f]{{8}}'))"
    );
    for name in connection::fetch(session, sql).await?.into_iter().flatten().flatten() {
        remove(url, &name).await;
    }
    Ok(())
}

/// Drops a database or template of ours, if it is there and not used.
///
/// Failures are left to the next run: another run may be removing the same one, or it belongs to another role.
pub(crate) async fn remove(url: &str, name: &str) {
    // A session each: altering a database whose removal was interrupted ends the session.
    if name.contains("_template") {
        let sql = format!("ALTER DATABASE \"{name}\" WITH IS_TEMPLATE false");
        let _ = connection::execute_async(url.to_owned(), sql).await;
    }
    let sql = format!("DROP DATABASE IF EXISTS \"{name}\"");
    let _ = connection::execute_async(url.to_owned(), sql).await;
}
