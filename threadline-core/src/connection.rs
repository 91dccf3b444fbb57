//! What an adapter implements so that operations can run on its connections.

use std::future::Future;

use crate::{Error, Operation, Schema, Statement};

/// How a read-only transaction for our reads is begun, in one message: they look up little through many partitions, for
/// which just-in-time compilation takes longer than running them.
pub const BEGIN_READ: &str = "BEGIN READ ONLY; SET LOCAL jit = off";

/// An asynchronous connection, pool or transaction that can run our statements.
///
/// An adapter implements the two required methods; [`run`](Self::run) comes for free.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run Threadline's operations",
    note = "use a connection of the adapter that matches your ORM, for example `threadline::sqlx` for sqlx"
)]
pub trait AsyncConnection: Send {
    /// The adapter's error; it wraps ours and the driver's.
    type Error: From<Error> + Send;

    /// Runs one statement under the extended protocol, unnamed or at least not outliving the transaction, with every
    /// parameter bound as text, and returns the one text column of each row.
    fn fetch(&mut self, statement: &Statement) -> impl Future<Output = Result<Vec<String>, Self::Error>> + Send;

    /// Runs a script of several statements under the simple protocol, all or nothing unless it says otherwise.
    fn execute_script(&mut self, sql: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Runs an operation and decodes its answer.
    fn run<O>(&mut self, schema: &Schema, operation: &O) -> impl Future<Output = Result<O::Output, Self::Error>> + Send
    where
        O: Operation + Sync,
    {
        async move {
            let statement = operation.statement(schema)?;
            let rows = self.fetch(&statement).await?;
            Ok(operation.decode(rows)?)
        }
    }
}

/// A blocking connection, pool or transaction that can run our statements.
///
/// An adapter implements the two required methods; [`run`](Self::run) comes for free.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run Threadline's operations",
    note = "use a connection of the adapter that matches your ORM, for example `threadline::diesel` for Diesel"
)]
pub trait BlockingConnection {
    /// The adapter's error; it wraps ours and the driver's.
    type Error: From<Error>;

    /// Runs one statement with every parameter bound as text, and returns the one text column of each row.
    ///
    /// # Errors
    /// The driver's error, or ours when [`Error::from_database`] recognises it.
    fn fetch(&mut self, statement: &Statement) -> Result<Vec<String>, Self::Error>;

    /// Runs a script of several statements under the simple protocol.
    ///
    /// # Errors
    /// As for [`fetch`](Self::fetch).
    fn execute_script(&mut self, sql: &str) -> Result<(), Self::Error>;

    /// Runs an operation and decodes its answer.
    ///
    /// # Errors
    /// As for [`fetch`](Self::fetch), and what the operation documents.
    fn run<O: Operation>(&mut self, schema: &Schema, operation: &O) -> Result<O::Output, Self::Error> {
        let statement = operation.statement(schema)?;
        let rows = self.fetch(&statement)?;
        Ok(operation.decode(rows)?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    struct Scripted(Vec<String>);

    impl AsyncConnection for Scripted {
        type Error = Error;

        async fn fetch(&mut self, _: &Statement) -> Result<Vec<String>, Error> {
            Ok(self.0.clone())
        }

        async fn execute_script(&mut self, _: &str) -> Result<(), Error> {
            Ok(())
        }
    }

    impl BlockingConnection for Scripted {
        type Error = Error;

        fn fetch(&mut self, _: &Statement) -> Result<Vec<String>, Error> {
            Ok(self.0.clone())
        }

        fn execute_script(&mut self, _: &str) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn both_sides_run_an_operation() {
        let mut connection = Scripted(vec!["3".to_owned()]);
        let schema = Schema::default();

        let blocking = BlockingConnection::run(&mut connection, &schema, &crate::InstalledVersion);
        assert_eq!(blocking.unwrap(), Some(3));

        let future = pin!(AsyncConnection::run(&mut connection, &schema, &crate::InstalledVersion));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => assert_eq!(answer.unwrap(), Some(3)),
            Poll::Pending => panic!("nothing to wait for"),
        }
    }
}
