//! Every case, by topic.

use futures_util::future::BoxFuture;

use crate::{Adapter, Place};

mod actions;
mod attach;
mod cancellation;
mod concurrency;
mod context;
mod current;
mod endings;
mod errors;
mod failures;
mod nested;
mod pool;
mod probe;
mod reading;
mod retry;
mod scopes;
mod server;
mod strings;

/// One case on one adapter.
#[derive(Debug)]
pub struct Case {
    /// `topic::name`.
    pub name: &'static str,
    /// Whether it needs a server that it may crash.
    pub private: bool,
    /// Runs it; it fails by panicking.
    pub run: fn(Place) -> BoxFuture<'static, ()>,
}

macro_rules! cases {
    ($($topic:ident { $($name:ident)* })*) => {
        /// The names of all cases, in the order of the table.
        pub const NAMES: &[&str] = &[$($(concat!(stringify!($topic), "::", stringify!($name)),)*)*];

        /// All cases on one adapter.
        #[must_use]
        pub fn all<A: Adapter>() -> Vec<Case> {
            vec![$($(Case {
                name: concat!(stringify!($topic), "::", stringify!($name)),
                private: matches!(stringify!($topic).as_bytes(), b"server"),
                run: |place| Box::pin($topic::$name::<A>(place)),
            },)*)*]
        }
    };
}

cases! {
    context {
        every_field_is_recorded
        meta_keeps_its_types
        a_missing_actor_is_refused
        a_missing_actor_is_allowed_when_said
        a_table_may_insist_on_an_actor
        the_outcome_tells_the_audit_transaction
        nothing_captured_has_no_audit_transaction
        options_reach_the_transaction
        the_context_ends_with_the_transaction
    }
    actions {
        none_is_capture_only
        one_before_the_write
        one_after_the_write
        one_between_two_writes
        many
        every_field_is_recorded
        an_action_may_have_another_actor
    }
    nested {
        a_scope_inherits_the_context
        a_scope_with_another_context_restores_the_outer_one
        a_failed_scope_is_rolled_back_alone
        a_failed_scope_with_another_context_restores_the_outer_one
        a_failed_scope_ends_the_transaction_unless_dropped
        scopes_in_scopes
        actions_stay_with_their_scope
        a_scope_without_an_actor_is_refused
    }
    endings {
        an_error_of_the_closure_rolls_back
        an_error_of_the_database_rolls_back
        a_panic_rolls_back
        a_swallowed_error_is_no_commit
        a_deferred_constraint_fails_the_commit
        the_begin_form_commits
        the_begin_form_rolls_back
        the_begin_form_rolls_back_when_dropped
    }
    failures {
        a_failed_closure_is_recorded
        a_refused_commit_is_recorded
        a_success_is_not_recorded_as_a_failure
        a_failure_is_recorded_by_itself
    }
    retry {
        a_conflict_in_a_statement
        a_conflict_in_commit
        a_deadlock
        attempts_are_bounded
        other_errors_are_not_retried
        an_unknown_commit_is_not_retried
        inside_a_transaction_it_is_refused
    }
    attach {
        changes_in_between_are_attributed
        a_context_never_detached_ends_with_the_transaction
        the_owner_may_roll_back
        outside_a_transaction_it_is_refused
    }
    concurrency {
        no_actor_crosses
    }
    cancellation {
        of_the_closure_form
        of_the_begin_form
        of_a_rollback
        of_nested_scopes
        of_the_retried_form
        of_recording_a_failure
        of_a_read
    }
    pool {
        exhaustion_leaves_nothing
    }
    server {
        a_restart_in_mid_transaction
    }
    strings {
        odd_ones_come_back_as_they_were
        nul_is_refused_before_anything_is_sent
        nul_in_a_row_leaves_nothing
        a_comment_of_a_megabyte
        ids_of_the_longest_kind
    }
    current {
        code_deep_inside_finds_the_context
        it_is_lost_over_spawn
        tasks_in_turns_keep_their_own
    }
    reading {
        pages_of_the_timeline
        inside_a_transaction_its_own_changes_are_seen
        a_table_that_is_not_captured_is_an_error
        a_wrong_filter_is_an_error_that_names_it
        a_kernel_in_another_schema_is_read
        an_unknown_field_is_an_error_that_names_it
    }
    scopes {
        no_read_tells_of_another_tenant
        every_read_tells_of_its_own_tenant
        a_wrong_scope_is_an_error_that_names_it
        the_scoped_handle_writes_as_the_plain_one
    }
    probe {
        attributed_code_passes
        a_missing_context_is_seen_though_the_test_has_one
        a_missing_action_is_seen
        what_a_savepoint_rolled_back_is_not_counted
        the_context_is_back_afterwards
        it_works_in_an_audited_transaction_too
        code_that_commits_by_itself
    }
    errors {
        they_come_back_out_of_the_orms_error
    }
}
