//! The kinds of statement that a case may run.

/// A kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One row inserted.
    InsertOne,
    /// Several rows inserted, now and then thousands.
    InsertMany,
    /// `COPY .. FROM STDIN`
    Copy,
    /// One row updated.
    UpdateOne,
    /// Several rows updated.
    UpdateMany,
    /// Rows updated to what they are.
    NoChange,
    /// One row deleted.
    DeleteOne,
    /// Several rows deleted.
    DeleteMany,
    /// `INSERT .. ON CONFLICT`
    Upsert,
    /// `MERGE` (15 and later)
    Merge,
    /// `UPDATE .. FROM`
    UpdateFrom,
    /// `WITH` with writes in it.
    WritableCte,
    /// A deletion that a foreign key carries on.
    CascadeDelete,
    /// A key change that a foreign key carries on.
    CascadeUpdate,
    /// A key change that two foreign keys of one table carry on to the same rows.
    TwoCascades,
    /// Keys moved onto each other in one statement: a deferrable key allows it.
    DeferrableShift,
    /// Two rows with one key for a while, in a transaction that puts it right before its end.
    DeferredDuplicate,
    /// A write to a table whose triggers write too.
    HostTrigger,
    /// Another key for a row.
    KeyChange,
    /// `TRUNCATE`
    Truncate,
    /// Several writes in a savepoint that is rolled back.
    SavepointRollback,
    /// Writes in a block whose exception is caught.
    CaughtException,
    /// A write that names a partition.
    LeafWrite,
    /// A row moved from one partition to another.
    PartitionMove,
}

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::InsertOne,
        Self::InsertMany,
        Self::Copy,
        Self::UpdateOne,
        Self::UpdateMany,
        Self::NoChange,
        Self::DeleteOne,
        Self::DeleteMany,
        Self::Upsert,
        Self::Merge,
        Self::UpdateFrom,
        Self::WritableCte,
        Self::CascadeDelete,
        Self::CascadeUpdate,
        Self::TwoCascades,
        Self::DeferrableShift,
        Self::DeferredDuplicate,
        Self::HostTrigger,
        Self::KeyChange,
        Self::Truncate,
        Self::SavepointRollback,
        Self::CaughtException,
        Self::LeafWrite,
        Self::PartitionMove,
    ];

    /// Its name in the printed table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InsertOne => "insert, single",
            Self::InsertMany => "insert, bulk",
            Self::Copy => "copy",
            Self::UpdateOne => "update, single",
            Self::UpdateMany => "update, bulk",
            Self::NoChange => "update to the same",
            Self::DeleteOne => "delete, single",
            Self::DeleteMany => "delete, bulk",
            Self::Upsert => "upsert",
            Self::Merge => "merge",
            Self::UpdateFrom => "update from",
            Self::WritableCte => "writable cte",
            Self::CascadeDelete => "cascade, delete",
            Self::CascadeUpdate => "cascade, key change",
            Self::TwoCascades => "two cascading keys",
            Self::DeferrableShift => "deferrable key shift",
            Self::DeferredDuplicate => "deferred duplicate key",
            Self::HostTrigger => "host triggers",
            Self::KeyChange => "key change",
            Self::Truncate => "truncate",
            Self::SavepointRollback => "savepoint rollback",
            Self::CaughtException => "caught exception",
            Self::LeafWrite => "leaf write",
            Self::PartitionMove => "partition move",
        }
    }

    /// Whether a server of this major version knows it.
    #[must_use]
    pub fn exists_on(self, major: u32) -> bool {
        self != Self::Merge || major >= 15
    }
}
