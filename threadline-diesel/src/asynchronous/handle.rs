//! What the compiler says to what is no PostgreSQL connection of diesel-async.

use diesel::pg::Pg;
use diesel_async::{AnsiTransactionManager, AsyncConnection, TransactionManager};

/// As that of the blocking half.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a PostgreSQL connection of diesel-async",
    label = "`audited!`, and every call that audits or reads the trail, takes one",
    note = "take a `&mut AsyncPgConnection`, or a connection out of a pool: `let mut conn = pool.get().await?`",
    note = "to say how the transaction begins, give `audited!` a session of it: `conn.with(&context)`",
    note = "for a blocking `PgConnection` use `threadline::diesel`"
)]
pub trait PostgresConnection:
    AsyncConnection<
        Backend = Pg,
        TransactionManager: TransactionManager<Self, TransactionStateData = AnsiTransactionManager>,
    >
{
}

#[diagnostic::do_not_recommend]
impl<C> PostgresConnection for C where
    C: AsyncConnection<
            Backend = Pg,
            TransactionManager: TransactionManager<C, TransactionStateData = AnsiTransactionManager>,
        >
{
}
