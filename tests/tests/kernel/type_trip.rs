//! The way there and back: a captured table with a column for each type, and the comparison of what was recorded with
//! what was there.

use crate::session::Session;
use crate::type_values::Column;

/// A captured table, an uncaptured copy of its rows in which every column takes all its values, and how to read it back.
pub(crate) struct Trip {
    table: &'static str,
    columns: Vec<Column>,
    rows: usize,
}

impl Trip {
    /// Creates the table and captures it. Columns of `more_columns` get no values of their own.
    pub(crate) fn begin(session: &mut Session, table: &'static str, columns: &[Column], more_columns: &str, partitioned: bool) -> Self {
        let list: String = columns.iter().map(|(name, of_type, _)| format!(", {name} {of_type}")).collect();
        let definition = format!("(id int PRIMARY KEY{list}{more_columns})");
        session.run(&if partitioned {
            format!("CREATE TABLE {table} {definition} PARTITION BY RANGE (id); CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM (0) TO (5); CREATE TABLE {table}_2 PARTITION OF {table} DEFAULT")
        } else {
            format!("CREATE TABLE {table} {definition}")
        });
        let longest = columns.iter().map(|(_, _, values)| values.len()).max().unwrap_or(0);
        let trip = Self {
            table,
            columns: columns.to_vec(),
            // One row more has NULL everywhere.
            rows: longest + 1,
        };
        session.run(&format!("CREATE TABLE {table}_source (LIKE {table}); {}", trip.values()));
        session.run(&trip.decoder());
        session.run(&format!("SELECT threadline.enable_capture('{table}')"));
        trip
    }

    /// Fills the source, whose generated columns are ordinary ones.
    fn values(&self) -> String {
        let names: String = self.columns.iter().map(|(name, ..)| format!(", {name}")).collect();
        let rows: Vec<String> = (1..=self.rows)
            .map(|row| {
                let values: String = self
                    .columns
                    .iter()
                    .map(|(_, of_type, values)| {
                        if row == self.rows {
                            return ", NULL".to_owned();
                        }
                        let value = values[(row - 1) % values.len()];
                        if value.starts_with('(') && value.ends_with(')') && value.contains(['\'', '[']) && !value.starts_with("(0") {
                            return format!(", {value}::{of_type}");
                        }
                        format!(", '{}'::{of_type}", value.replace('\'', "''"))
                    })
                    .collect();
                format!("({row}{values})")
            })
            .collect();
        format!("INSERT INTO {}_source (id{names}) VALUES {}", self.table, rows.join(",\n"))
    }

    /// Inserts every row, shifts all values by one row, and deletes everything, statement by statement.
    #[track_caller]
    pub(crate) fn write(&self, session: &mut Session) {
        let (table, rows) = (self.table, self.rows);
        let names: Vec<&str> = self.columns.iter().map(|(name, ..)| *name).collect();
        let names = names.join(", ");
        session.run(&format!("INSERT INTO {table} (id, {names}) SELECT id, {names} FROM {table}_source WHERE id = 1"));
        session.run(&format!("INSERT INTO {table} (id, {names}) SELECT id, {names} FROM {table}_source WHERE id > 1 ORDER BY id"));
        let shift = |condition: &str| {
            format!(
                "UPDATE {table} SET ({names}) = (SELECT {names} FROM {table}_source s WHERE s.id = {table}.id % {rows} + 1) WHERE {condition}"
            )
        };
        session.run(&shift("id = 1"));
        session.run(&shift("id > 1"));
        session.run(&format!("DELETE FROM {table} WHERE id = 1"));
        session.run(&format!("DELETE FROM {table}"));
    }

    /// The columns of the captured table, generated ones included.
    fn all_columns(&self, session: &mut Session) -> Vec<String> {
        session.column(&format!(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            self.table
        ))
    }

    /// How a reader turns an image back into a row: `json` from its text, wrapped `jsonb` unwrapped, the rest by
    /// `jsonb_populate_record`.
    fn decoder(&self) -> String {
        let table = self.table;
        format!(
            "CREATE FUNCTION {table}_decode(image jsonb) RETURNS {table} LANGUAGE plpgsql AS $$
             DECLARE
                 json_columns text[] := ARRAY(SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                     WHERE a.attrelid = '{table}'::regclass AND (CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END) = 'json'::regtype);
                 jsonb_columns text[] := ARRAY(SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                     WHERE a.attrelid = '{table}'::regclass AND (CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END) = 'jsonb'::regtype);
                 decoded {table};
                 name text;
             BEGIN
                 FOREACH name IN ARRAY jsonb_columns LOOP
                     IF jsonb_typeof(image -> name) = 'object' AND image -> name ? 'threadline.json' THEN
                         image := image - name || jsonb_build_object('threadline.unwrapped', jsonb_build_array(image -> name -> 'threadline.json'), name, '0'::jsonb);
                         decoded := jsonb_populate_record(decoded, jsonb_build_object(name, 0));
                         EXECUTE format('SELECT (jsonb_populate_record($1, ''{{}}'')).* ') INTO decoded USING decoded;
                     END IF;
                 END LOOP;
                 RETURN decoded;
             END $$;"
        )
    }
}
