//! What the compiler says to what is no connection of Diesel's to PostgreSQL.

use diesel::connection::LoadConnection;
use diesel::pg::Pg;

/// Every connection that [`AuditDsl`](crate::AuditDsl) and [`Trail`](crate::Trail) are for. It stands between them and
/// Diesel because the compiler repeats what the innermost bound has to say: that would be about Diesel's own traits.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection of Diesel's to PostgreSQL",
    label = "`audited!`, and every call that audits or reads the trail, takes one",
    note = "take a `&mut PgConnection`, or a connection out of a pool: `let mut conn = pool.get()?`",
    note = "to say how the transaction begins, give `audited!` a session of it: `conn.with(&context)`"
)]
pub trait PostgresConnection: LoadConnection<Backend = Pg> {}

#[diagnostic::do_not_recommend]
impl<C> PostgresConnection for C where C: LoadConnection<Backend = Pg> {}
