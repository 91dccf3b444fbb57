//! What `audited!` calls.

use threadline_core::{Action, AuditContext, Outcome};

use crate::guarded::Guarded;
use crate::session::roll_back_or_trace;
use crate::{Attached, AuditedDatabase, AuditedTransaction, Error, Session};

impl AuditedDatabase {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).audited(action.as_ref(), body).await
    }
}

impl Session {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        self.under(context).audited(action.as_ref(), body).await
    }
}

impl AuditedTransaction {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        nested(&self.0, context, action.as_ref(), body).await
    }
}

impl Attached<'_> {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        nested(self.guarded(), context, action.as_ref(), body).await
    }
}

async fn nested<T, E, F>(
    outer: &Guarded<'_>,
    context: &AuditContext,
    action: Option<&Action>,
    body: F,
) -> Result<Outcome<T>, E>
where
    F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
    E: From<Error>,
{
    let scope = AuditedTransaction(outer.enter(Some(context)).await?);
    // Before anything is captured, because then the grouping row is written with its action.
    if let Some(action) = action {
        scope.record_action(action).await?;
    }
    match body(&scope).await {
        Ok(value) => Ok(Outcome { value, transaction_id: scope.commit().await? }),
        Err(error) => {
            roll_back_or_trace(scope).await;
            Err(error)
        }
    }
}
