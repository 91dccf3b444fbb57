//! What Diesel knows of the tables.

pub(crate) const TABLES: &str = "
    CREATE TABLE books (id bigint PRIMARY KEY, title text NOT NULL, borrower text);
    CREATE TABLE messages (id bigserial PRIMARY KEY, recipient text NOT NULL, body text NOT NULL);
    INSERT INTO books VALUES (1, 'The Art of Computer Programming'), (2, 'Structured Programming');
";

diesel::table! {
    books (id) {
        id -> BigInt,
        title -> Text,
        borrower -> Nullable<Text>,
    }
}

diesel::table! {
    messages (id) {
        id -> BigInt,
        recipient -> Text,
        body -> Text,
    }
}
