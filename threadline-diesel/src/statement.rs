//! Our statements as Diesel queries.

use diesel::deserialize::{self, QueryableByName};
use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::row::{NamedRow, Row};
use diesel::sql_types::{Nullable, Text};
use threadline_core::Statement;

/// The statement with its parameters bound. Diesel never prepares such a query by name, so it is right behind a pooler.
pub(crate) fn bound(statement: &Statement) -> BoxedSqlQuery<'static, Pg, SqlQuery> {
    let mut query = diesel::sql_query(statement.sql()).into_boxed();
    for value in statement.params() {
        query = query.bind::<Nullable<Text>, _>(value.clone());
    }
    query
}

/// A row of one text column, whatever it is called.
pub(crate) struct TextRow(pub(crate) String);

impl QueryableByName<Pg> for TextRow {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        Row::get_value::<Text, String, usize>(row, 0).map(Self)
    }
}

/// The texts of our rows.
pub(crate) fn texts(rows: Vec<TextRow>) -> Vec<String> {
    rows.into_iter().map(|TextRow(text)| text).collect()
}
