//! Transaction options, Threadline's and SeaORM's.

use threadline_core::{AccessMode, IsolationLevel, TransactionOptions};

/// What says how a transaction begins: Threadline's [`IsolationLevel`] and [`TransactionOptions`], or SeaORM's
/// [`IsolationLevel`](sea_orm::IsolationLevel), [`AccessMode`](sea_orm::AccessMode) and
/// [`TransactionOptions`](sea_orm::TransactionOptions).
///
/// PostgreSQL has no READ UNCOMMITTED and takes it for READ COMMITTED, and so is it taken here.
///
/// # Examples
/// ```
/// use threadline_seaorm::IntoTransactionOptions;
///
/// let ours = threadline_core::IsolationLevel::Serializable.into_transaction_options();
/// let seaorms = sea_orm::IsolationLevel::Serializable.into_transaction_options();
/// assert_eq!(ours, seaorms);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how a transaction begins",
    note = "give an isolation level or transaction options, of `threadline_core` or of `sea_orm`"
)]
pub trait IntoTransactionOptions {
    /// The same in Threadline's terms.
    fn into_transaction_options(self) -> TransactionOptions;
}

impl IntoTransactionOptions for TransactionOptions {
    fn into_transaction_options(self) -> TransactionOptions {
        self
    }
}

impl IntoTransactionOptions for IsolationLevel {
    fn into_transaction_options(self) -> TransactionOptions {
        self.into()
    }
}

impl IntoTransactionOptions for sea_orm::IsolationLevel {
    fn into_transaction_options(self) -> TransactionOptions {
        TransactionOptions::new().isolation(match self {
            Self::ReadUncommitted | Self::ReadCommitted => IsolationLevel::ReadCommitted,
            Self::RepeatableRead => IsolationLevel::RepeatableRead,
            Self::Serializable => IsolationLevel::Serializable,
        })
    }
}

impl IntoTransactionOptions for sea_orm::AccessMode {
    fn into_transaction_options(self) -> TransactionOptions {
        TransactionOptions::new().access_mode(match self {
            Self::ReadOnly => AccessMode::ReadOnly,
            Self::ReadWrite => AccessMode::ReadWrite,
        })
    }
}

impl IntoTransactionOptions for sea_orm::TransactionOptions {
    fn into_transaction_options(self) -> TransactionOptions {
        let mut options = TransactionOptions::new();
        if let Some(level) = self.isolation_level {
            options = over(options, level.into_transaction_options());
        }
        if let Some(mode) = self.access_mode {
            options = over(options, mode.into_transaction_options());
        }
        options
    }
}

/// `base`, with what `options` say in its place.
pub(crate) fn over(mut base: TransactionOptions, options: TransactionOptions) -> TransactionOptions {
    base.isolation = options.isolation.or(base.isolation);
    base.access_mode = options.access_mode.or(base.access_mode);
    base.deferrable = options.deferrable.or(base.deferrable);
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays() {
        let base = TransactionOptions::from(IsolationLevel::Serializable);
        let seaorms = sea_orm::TransactionOptions {
            access_mode: Some(sea_orm::AccessMode::ReadOnly),
            ..sea_orm::TransactionOptions::default()
        };
        let options = over(base, seaorms.into_transaction_options());
        assert_eq!(options.to_string(), "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
        assert_eq!(over(base, TransactionOptions::new()), base);
    }
}
