//! One database per test.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use crate::{Error, Server, blocking, connection, external};

/// A database of one test. Dropping it drops the database, whoever is still connected.
///
/// On a private server the drop happens in the background; on one that was running before, it has happened when the
/// value is gone.
#[must_use = "the database is dropped with this value"]
pub struct Database {
    name: String,
    url: String,
    maintenance: String,
    in_background: bool,
}

impl Database {
    pub(crate) fn create(server: &Server, template: Option<&str>) -> Result<Self, Error> {
        let name = server.unused_name("");
        // template0 has no extensions and nobody can be connected to it.
        let template = template.unwrap_or("template0");
        // Copying files takes half the time of logging every page, which is the default since the choice exists.
        let strategy = if server.version().major >= 15 { "STRATEGY FILE_COPY" } else { "" };
        let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" {strategy}");
        let maintenance = server.maintenance().as_str().to_owned();
        connection::execute(maintenance.clone(), sql)?;
        Ok(Self { url: server.url(&name), name, maintenance, in_background: server.is_private() })
    }

    /// The connection URL, with the rights of the server's own role.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name on its server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements in a new session and waits for them.
    ///
    /// Several statements in one call are one transaction unless they contain `BEGIN` and `COMMIT`.
    ///
    /// # Errors
    ///
    /// When the server refuses one; [`Error::sqlstate`] says why.
    pub fn execute(&self, sql: &str) -> Result<(), Error> {
        connection::execute(self.url.clone(), sql.to_owned())
    }

    /// Runs statements in a new session and returns their rows, each value in PostgreSQL's text form.
    ///
    /// # Errors
    ///
    /// When the server refuses one; [`Error::sqlstate`] says why.
    pub fn query_text(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        connection::query_text(self.url.clone(), sql.to_owned())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let url = self.maintenance.clone();
        let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        // A destructor has nobody to report to. What stays on a running server, the next run removes.
        if self.in_background {
            blocking::detach(async move {
                let _ = connection::execute_async(url, sql).await;
            });
        } else {
            let _ = connection::execute(url, sql);
        }
    }
}

/// The templates that a server holds, by key.
#[derive(Default)]
pub(crate) struct Templates {
    by_key: Mutex<HashMap<String, Arc<Mutex<Option<Template>>>>>,
}

struct Template {
    name: String,
    setup_sql: String,
}

impl Templates {
    /// Creates a template once; others who want the same one wait, those who want another do not.
    pub(crate) fn get_or_create(&self, server: &Server, key: &str, setup_sql: &str) -> Result<String, Error> {
        let slot = {
            let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_key.entry(key.to_owned()).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let template = match slot.take() {
            Some(template) => template,
            None => Template::create(server, key, setup_sql)?,
        };
        let name = template.name.clone();
        let same = template.setup_sql == setup_sql;
        *slot = Some(template);
        if same {
            Ok(name)
        } else {
            Err(Error::new(format!("the template {key:?} was made from other SQL; give this one a key of its own")))
        }
    }

    pub(crate) fn remove_all(&self, maintenance: &Url) {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in by_key.drain().map(|(_, slot)| slot) {
            let template = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(template) = template {
                remove(&template.name, maintenance.as_str());
            }
        }
    }
}

impl Template {
    fn create(server: &Server, key: &str, setup_sql: &str) -> Result<Self, Error> {
        let name = server.unused_name("template");
        let maintenance = server.maintenance().as_str().to_owned();
        connection::execute(maintenance.clone(), format!("CREATE DATABASE \"{name}\" TEMPLATE template0"))?;
        let made = connection::execute(server.url(&name), setup_sql.to_owned())
            .map_err(|error| error.while_doing(format!("the set-up of template {key:?} failed")))
            .and_then(|()| {
                // Nobody can be connected to it when it is copied.
                let sql = format!("ALTER DATABASE \"{name}\" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false");
                connection::execute(maintenance.clone(), sql)
            });
        if let Err(error) = made {
            remove(&name, &maintenance);
            return Err(error);
        }
        Ok(Self { name, setup_sql: setup_sql.to_owned() })
    }
}

fn remove(name: &str, maintenance: &str) {
    let (name, url) = (name.to_owned(), maintenance.to_owned());
    let _ = blocking::wait(async move {
        external::remove(&url, &name).await;
        Ok(())
    });
}
