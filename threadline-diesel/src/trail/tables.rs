//! The tables as Diesel knows them.

diesel::table! {
    use diesel::sql_types::*;
    use crate::trail::Xid8;

    /// Captured changes of rows, and TRUNCATEs; in the order of `(captured_at, id)`.
    threadline.audit_changes (id) {
        /// Breaks ties of `captured_at`.
        id -> BigInt,
        /// The unit of work it belongs to.
        transaction_id -> BigInt,
        /// The database transaction's id; information, never an identity.
        xid -> Xid8,
        /// When it was captured.
        captured_at -> Timestamptz,
        /// Finds the changes of one key.
        key_hash -> BigInt,
        /// Finds the changes that moved a row away from one key.
        previous_key_hash -> Nullable<BigInt>,
        /// The table's schema at that time.
        table_schema -> Text,
        /// The table's name at that time.
        table_name -> Text,
        /// `insert`, `update`, `delete` or `truncate`.
        op -> Text,
        /// The row's key after the change.
        table_pk -> Nullable<Jsonb>,
        /// The row's key before a change that changed it.
        previous_pk -> Nullable<Jsonb>,
        /// The row after the change.
        data_after -> Nullable<Jsonb>,
        /// The columns that an update changed, sorted.
        changed_fields -> Nullable<Array<Text>>,
        /// Prior values of the changed columns; of a deleted row, all values.
        changed_from -> Nullable<Jsonb>,
        /// Why the images were withheld, when they were.
        withheld -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::trail::Xid8;

    /// Attributed units of work, normally one for each database transaction that changed something.
    threadline.audit_transactions (id) {
        /// Unique for the life of the trail.
        id -> BigInt,
        /// The database transaction's id; information, never an identity.
        xid -> Xid8,
        /// When its first change was captured.
        occurred_at -> Timestamptz,
        /// Who is responsible.
        actor_ref -> Nullable<Jsonb>,
        /// The action it belongs to.
        action_id -> Nullable<BigInt>,
        /// The id that follows one piece of work through every service.
        correlation_id -> Nullable<Text>,
        /// The id of the request.
        request_id -> Nullable<Text>,
        /// The id of the background job.
        job_id -> Nullable<Text>,
        /// What the work came in through.
        source -> Nullable<Text>,
        /// The address the request came from.
        remote_ip -> Nullable<Text>,
        /// Further notes, a JSON object.
        meta -> Nullable<Jsonb>,
        /// The role that logged in to the database.
        session_role -> Text,
        /// The role set at the time; `none` when it is the session's.
        current_role_name -> Text,
        /// The client's `application_name`.
        application_name -> Text,
    }
}

diesel::table! {
    /// Recorded semantic actions.
    threadline.audit_actions (id) {
        /// Unique for the life of the trail.
        id -> BigInt,
        /// What it is called: `post.published`.
        name -> Text,
        /// Who did it.
        actor_ref -> Jsonb,
        /// `ok` or `error`.
        status -> Text,
        /// What was done in one word.
        verb -> Nullable<Text>,
        /// The kind of action.
        category -> Nullable<Text>,
        /// Why.
        reason -> Nullable<Text>,
        /// Whatever a person wrote.
        comment -> Nullable<Text>,
        /// The id that follows one piece of work through every service.
        correlation_id -> Nullable<Text>,
        /// The id of the request.
        request_id -> Nullable<Text>,
        /// The id of the background job.
        job_id -> Nullable<Text>,
        /// When it was recorded.
        recorded_at -> Timestamptz,
    }
}

diesel::joinable!(audit_changes -> audit_transactions (transaction_id));
diesel::joinable!(audit_transactions -> audit_actions (action_id));
diesel::allow_tables_to_appear_in_same_query!(audit_changes, audit_transactions, audit_actions);
