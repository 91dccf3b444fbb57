//! Texts that are checked while compiling: the same rules as `threadline_core::Action` has for one-line fields.

use syn::{Error, LitStr};

/// How long a text may be.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Bytes(usize),
    Characters(usize),
}

/// The name, verb and category of an action.
pub(crate) const WORD: Limit = Limit::Characters(255);
/// Correlation, request and job ids.
pub(crate) const ID: Limit = Limit::Bytes(256);

/// Refuses a literal that recording the action would refuse, or trim.
pub(crate) fn check_line(literal: &LitStr, what: &str, limit: Limit) -> syn::Result<()> {
    let text = literal.value();
    let problem = if text.trim().is_empty() {
        "is empty".to_owned()
    } else if text.trim() != text {
        "begins or ends with white space".to_owned()
    } else if text.chars().any(char::is_control) {
        "contains a control character".to_owned()
    } else {
        match limit {
            Limit::Bytes(most) if text.len() > most => format!("is longer than {most} bytes"),
            Limit::Characters(most) if text.chars().nth(most).is_some() => {
                format!("is longer than {most} characters")
            }
            Limit::Bytes(_) | Limit::Characters(_) => return Ok(()),
        }
    };
    Err(Error::new(literal.span(), format!("the {what} of the action {problem}")))
}
