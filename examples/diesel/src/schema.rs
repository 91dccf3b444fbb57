//! The service's tables, as `diesel print-schema` prints them.

diesel::table! {
    /// Tickets.
    tickets (id) {
        /// Given by the database.
        id -> BigInt,
        /// What it is about.
        subject -> Text,
        /// Who opened it.
        email -> Text,
        /// `open`, `closed` or `archived`.
        status -> Text,
    }
}

diesel::table! {
    /// Messages to whoever opened a ticket.
    messages (id) {
        /// Given by the database.
        id -> BigInt,
        /// The ticket.
        ticket_id -> BigInt,
        /// The text.
        body -> Text,
    }
}

diesel::joinable!(messages -> tickets (ticket_id));
diesel::allow_tables_to_appear_in_same_query!(messages, tickets);
