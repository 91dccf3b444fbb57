//! Why a command did not do what was asked, and the exit code that tells so.

use serde::Serialize;

use crate::name::TableName;

/// The server refused, or the answer is no.
const FAILED: u8 = 1;
/// Wrong usage or input.
pub(crate) const REFUSED: u8 = 2;
/// No database, or no kernel in it.
const UNREACHABLE: u8 = 3;

/// What went wrong, for people and for machines.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Failure(Box<Told>);

#[derive(Clone, Debug, Serialize)]
struct Told {
    #[serde(skip)]
    exit: u8,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<String>,
}

impl Failure {
    fn new(exit: u8, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Told {
            exit,
            code,
            message: message.into(),
            remedy: None,
            table: None,
            column: None,
            sqlstate: None,
        }))
    }

    pub(crate) fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FAILED, code, message)
    }

    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(REFUSED, code, message)
    }

    pub(crate) fn unreachable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(UNREACHABLE, code, message)
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn about_table(mut self, table: &TableName) -> Self {
        self.0.table = Some(table.to_string());
        self
    }

    /// The same failure, told with how many tables were captured before it.
    pub(crate) fn after_tables(mut self, count: usize) -> Self {
        let done = match count {
            0 => return self,
            1 => "1 table before it is captured".to_owned(),
            _ => format!("{count} tables before it are captured"),
        };
        self.0.message = format!("{} ({done})", self.0.message);
        self
    }

    pub(crate) fn exit(&self) -> u8 {
        self.0.exit
    }

    /// The message and the remedy, without secrets.
    pub(crate) fn texts(&self) -> (String, Option<String>) {
        (scrub(&self.0.message), self.0.remedy.as_deref().map(scrub))
    }

    /// The same failure, ready to be printed as JSON.
    pub(crate) fn scrubbed(&self) -> Self {
        let (message, remedy) = self.texts();
        let mut clean = self.clone();
        clean.0.message = message;
        clean.0.remedy = remedy;
        clean
    }

    /// Whether the server could not read a value.
    pub(crate) fn is_data_exception(&self) -> bool {
        self.0.sqlstate.as_deref().is_some_and(|state| state.starts_with("22"))
    }
}

impl From<threadline_core::Error> for Failure {
    fn from(error: threadline_core::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&threadline_core::Error> for Failure {
    fn from(error: &threadline_core::Error) -> Self {
        let exit = match error.code() {
            "not_installed" => UNREACHABLE,
            "deleted_record"
            | "never_existed"
            | "moved_key"
            | "not_found"
            | "output_failed"
            | "before_horizon"
            | "image_unavailable"
            | "append_only"
            | "unknown_commit"
            | "unreadable"
            | "unknown_kernel_error" => FAILED,
            _ => REFUSED,
        };
        // The message ends with the remedy, which has a line of its own here.
        let text = error.to_string();
        let message = error
            .remedy()
            .and_then(|remedy| text.strip_suffix(remedy.trim_end_matches('.')))
            .map_or(text.as_str(), |message| message.trim_end_matches(['.', ' ']));
        // The kernel says who speaks, for readers of the server's log.
        let message = message.strip_prefix("threadline: ").unwrap_or(message);
        let mut failure = Self::new(exit, error.code(), message);
        failure.0.remedy = error.remedy().map(str::to_owned);
        failure.0.table = error.table().filter(|table| !table.is_empty()).map(str::to_owned);
        failure.0.column = error.column().filter(|column| !column.is_empty()).map(str::to_owned);
        failure
    }
}

impl From<threadline_sqlx::Error> for Failure {
    fn from(error: threadline_sqlx::Error) -> Self {
        let sqlstate = error.sqlstate().map(String::from);
        let mut failure = match (error.as_core(), error.as_sqlx()) {
            (Some(core), _) => core.into(),
            (None, Some(sqlx::Error::Database(database))) => {
                refused_by_server(sqlstate.as_deref().unwrap_or_default(), database.message())
            }
            (None, Some(driver)) => {
                Self::unreachable("unreachable", driver.to_string()).remedy("Check that the server runs, and try again")
            }
            (None, None) => Self::failed("driver", error.to_string()),
        };
        failure.0.sqlstate = sqlstate;
        failure
    }
}

/// An error of the server that is not the kernel's.
fn refused_by_server(state: &str, message: &str) -> Failure {
    match state {
        "42501" => Failure::failed("insufficient_privilege", message).remedy(
            "Connect as the role that installed the kernel; to read the trail, a role that grant_reader was run for",
        ),
        "55P03" => Failure::failed("lock_timeout", message).remedy("Another session holds the table; try again"),
        _ if state.starts_with("08") || state.starts_with("57P") || state.starts_with("53") => {
            Failure::unreachable("unreachable", message).remedy("Check that the server runs, and try again")
        }
        // What the server cannot read is the user's value: nothing else travels.
        _ if state.starts_with("22") => Failure::refused("invalid_input", message),
        _ => Failure::failed("database", message),
    }
}

/// The text with the passwords of URLs in it blotted out.
pub(crate) fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        clean.push_str(&scrub_url(url));
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

/// What follows `://`.
fn scrub_url(url: &str) -> String {
    // A careless password may hold an @ or a slash itself.
    let (account, place) = match url.rsplit_once('@') {
        Some((account, place)) => (Some(account), place),
        None => (None, url),
    };
    let place = match place.split_once('?') {
        Some((place, query)) if query.contains("password") => format!("{place}?***"),
        _ => place.to_owned(),
    };
    match account {
        Some(account) => match account.split_once(':') {
            Some((user, _)) => format!("{user}:***@{place}"),
            None => format!("{account}@{place}"),
        },
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_blotted_out() {
        for (text, clean) in [
            ("no URL", "no URL"),
            ("'postgres://me:secret@host/db' is", "'postgres://me:***@host/db' is"),
            ("postgres://me@host/db?sslmode=require", "postgres://me@host/db?sslmode=require"),
            ("postgres://host/db?password=secret", "postgres://host/db?***"),
            ("x://a:se@cr/et@h y://b:secret@h", "x://a:***@h y://b:***@h"),
        ] {
            assert_eq!(scrub(text), clean);
        }
    }

    #[test]
    fn the_remedy_has_a_line_of_its_own() {
        let failure = Failure::from("robot:7".parse::<threadline_core::ActorRef>().unwrap_err());
        assert_eq!(
            failure.texts(),
            (
                "the actor's type is not known".to_owned(),
                Some("Use user, admin, service_account, job, system or anonymous".to_owned())
            )
        );
        assert_eq!(failure.exit(), REFUSED);
    }
}
