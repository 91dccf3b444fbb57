//! The schema that holds the kernel and the trail.

use std::{fmt, str::FromStr};

use crate::{Error, quote_identifier};

/// The name of the schema that holds the kernel and the trail; `threadline` unless you choose another.
///
/// Every statement of this crate names it explicitly and quoted, so nothing depends on `search_path`.
///
/// # Examples
/// ```
/// use threadline_core::Schema;
///
/// assert_eq!(Schema::default().name(), "threadline");
/// assert_eq!(Schema::new("Audit trail")?.quoted(), r#""Audit trail""#);
/// assert!(Schema::new("pg_audit").is_err());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Schema {
    name: String,
    quoted: String,
}

impl Schema {
    /// The schema called `name`, exactly as PostgreSQL stores it (case included).
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) when the name is empty, longer than 63 bytes, contains a control
    /// character or one of `'`, `\`, `%`, `$`, or starts with `pg_`, which PostgreSQL reserves.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.chars().any(char::is_control) {
            return Err(Error::invalid_input("schema", "contains a control character", "Choose a plain name"));
        }
        if name.starts_with("pg_") {
            return Err(Error::invalid_input(
                "schema",
                "starts with pg_, which PostgreSQL reserves",
                "Choose another name",
            ));
        }
        if name.contains(['\'', '\\', '%', '$']) {
            return Err(Error::invalid_input(
                "schema",
                "contains a quote, a backslash, a percent or a dollar sign",
                "Choose a name without them: the kernel's own code is text in which they have a meaning",
            ));
        }
        let quoted = quote_identifier(&name)?;
        Ok(Self { name, quoted })
    }

    /// The name, unquoted.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, ready to stand in SQL text.
    #[must_use]
    pub fn quoted(&self) -> &str {
        &self.quoted
    }

    /// Writes the quoted schema wherever `template` says `{schema}`.
    pub(crate) fn expand(&self, template: &str) -> String {
        template.replace("{schema}", &self.quoted)
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self { name: "threadline".to_owned(), quoted: "\"threadline\"".to_owned() }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.name).finish()
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Schema {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_new_would_make() {
        assert_eq!(Schema::default(), Schema::new("threadline").unwrap());
    }

    #[test]
    fn a_hostile_name_stays_one_identifier() {
        let schema = Schema::new(r#"x"; DROP SCHEMA public; --"#).unwrap();
        assert_eq!(schema.expand("SELECT 1 FROM {schema}.t"), r#"SELECT 1 FROM "x""; DROP SCHEMA public; --".t"#);
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "pg_catalog", "a\nb", "a\0b", "it's", "a%s", r"a\b", "a$$"] {
            assert!(Schema::new(name).unwrap_err().is_invalid_input(), "{name:?}");
        }
    }
}
