//! Identifiers of trail rows.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// The number itself.
            #[must_use]
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
    };
}

id! {
    /// `audit_transactions.id`: one attributed unit of work. From a sequence; unique for the life of the trail, restores
    /// included, and unrelated to PostgreSQL's transaction ids.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::TransactionId;
    ///
    /// assert_eq!(TransactionId(7).to_string(), "7");
    /// ```
    TransactionId
}
id! {
    /// `audit_actions.id`: one semantic action.
    ActionId
}
id! {
    /// `audit_changes.id`: one captured row change. Changes are ordered by `(captured_at, id)`, not by id alone.
    ChangeId
}
