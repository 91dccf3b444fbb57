//! The way there and back: a captured table with a column for each type, and the comparison of what was recorded with
//! what was there.

use crate::session::Session;
use crate::type_values::Column;

/// A captured table, and an uncaptured source of rows in which every column takes all its values, and NULL.
pub(crate) struct Trip {
    table: &'static str,
    columns: Vec<Column>,
    rows: usize,
}

impl Trip {
    /// Creates the table and captures it.
    pub(crate) fn begin(session: &mut Session, table: &'static str, columns: &[Column], partitioned: bool) -> Self {
        let list: String = columns.iter().map(|(name, of_type, _)| format!(", {name} {of_type}")).collect();
        session.run(&format!("CREATE TABLE {table}_source (id int PRIMARY KEY{list}); CREATE TABLE {table} (LIKE {table}_source, PRIMARY KEY (id)) {}",
            if partitioned {
                format!("PARTITION BY RANGE (id); CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM (0) TO (5); CREATE TABLE {table}_2 PARTITION OF {table} DEFAULT")
            } else {
                String::new()
            }));
        let trip = Self {
            table,
            columns: columns.to_vec(),
            // One row more has NULL everywhere.
            rows: columns.iter().map(|(_, _, values)| values.len()).max().unwrap_or(0) + 1,
        };
        trip.fill(session);
        session.run(&format!("SELECT threadline.enable_capture('{table}')"));
        trip
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, ..)| *name).collect();
        names.join(", ")
    }

    fn fill(&self, session: &mut Session) {
        let (table, names) = (self.table, self.names());
        for row in 1..self.rows {
            let values: Vec<String> = self
                .columns
                .iter()
                .map(|(_, of_type, values)| {
                    let value = values[(row - 1) % values.len()];
                    value.strip_prefix("SQL:").map_or_else(
                        || format!("'{}'::{of_type}", value.replace('\'', "''")),
                        |expression| format!("({expression})::{of_type}"),
                    )
                })
                .collect();
            session.run(&format!("INSERT INTO {table}_source (id, {names}) VALUES ({row}, {})", values.join(", ")));
        }
        session.run(&format!("INSERT INTO {table}_source (id) VALUES ({})", self.rows));
    }

    /// Inserts every row, shifts all values by one row, and deletes everything: one row and many, statement by statement.
    #[track_caller]
    pub(crate) fn write(&self, session: &mut Session) {
        let (table, rows, names) = (self.table, self.rows, self.names());
        let source = format!("SELECT {names} FROM public.{table}_source AS s");
        // Qualified to the last operator: the session's search_path may be anything.
        let insert =
            format!("INSERT INTO public.{table} (id, {names}) SELECT id, {names} FROM public.{table}_source WHERE id");
        let update =
            format!("UPDATE public.{table} AS t SET ({names}) = ({source} WHERE s.id = t.id % {rows} + 1) WHERE id");
        for statement in [&insert, &update, &format!("DELETE FROM public.{table} WHERE id")] {
            session.run(&format!("{statement} = 1"));
            session.run(&format!("{statement} > 1"));
        }
    }

    /// What differs between what [`Trip::write`] wrote and what the trail says, one line for each value.
    pub(crate) fn losses(&self, session: &mut Session) -> Vec<String> {
        let (table, rows) = (self.table, self.rows);
        let compared: Vec<String> = self
            .columns
            .iter()
            .map(|(name, ..)| {
                format!(
                    "('{name}', ROW(b.{name})::record *<> ROW(a.{name})::record, ROW(x.{name})::record *<> ROW(a.{name})::record,
                      ROW(y.{name})::record *<> ROW(b.{name})::record, a.{name}::text, x.{name}::text, b.{name}::text, y.{name}::text)"
                )
            })
            .collect();
        // a: the row after, b: the row before, x and y: what the trail says about them.
        session.column(&format!(
            "SELECT concat_ws(' ', c.op, c.table_pk, v.name, CASE WHEN after_differs AND c.op <> 'delete' THEN format('after: %L became %L', left(is_after, 200), left(said_after, 200)) END,
                 CASE WHEN before_differs AND c.changed_from ? v.name THEN format('before: %L became %L', left(was_before, 200), left(said_before, 200)) END,
                 CASE WHEN c.op = 'update' AND changed <> (v.name = ANY (c.changed_fields)) THEN format('changed: %s', changed) END)
             FROM threadline.audit_changes c
             CROSS JOIN LATERAL (SELECT (c.table_pk ->> 'id')::int AS id) AS k
             JOIN {table}_source b ON b.id = CASE WHEN c.op = 'delete' THEN k.id % {rows} + 1 ELSE k.id END
             JOIN {table}_source a ON a.id = CASE WHEN c.op = 'insert' THEN k.id ELSE k.id % {rows} + 1 END
             CROSS JOIN LATERAL threadline.row_from_image(NULL::{table}, 'public', '{table}', coalesce(c.data_after, '{{}}'),
                 ARRAY(SELECT jsonb_object_keys(c.data_after)), '{{}}') AS x
             CROSS JOIN LATERAL threadline.row_from_image(NULL::{table}, 'public', '{table}', coalesce(c.changed_from, '{{}}'),
                 ARRAY(SELECT jsonb_object_keys(c.changed_from)), '{{}}') AS y
             CROSS JOIN LATERAL (VALUES {}) AS v (name, changed, after_differs, before_differs, is_after, said_after, was_before, said_before)
             WHERE c.table_name = '{table}' AND (after_differs AND c.op <> 'delete' OR before_differs AND c.changed_from ? v.name
                 OR c.op = 'update' AND changed <> (v.name = ANY (c.changed_fields)))
             ORDER BY c.captured_at, c.id",
            compared.join(", ")
        ))
    }

    /// Checks that every row was recorded once for each statement, with every field that belongs there.
    #[track_caller]
    pub(crate) fn is_complete(&self, session: &mut Session) {
        let fields = self.columns.len() + 1;
        for (op, shape) in [
            (
                "insert",
                format!("(SELECT count(*) FROM jsonb_object_keys(data_after)) = {fields} AND changed_from IS NULL"),
            ),
            (
                "update",
                format!(
                    "(SELECT count(*) FROM jsonb_object_keys(data_after)) = {fields} AND (SELECT array_agg(k ORDER BY k COLLATE \"C\") FROM jsonb_object_keys(changed_from) k) = changed_fields"
                ),
            ),
            (
                "delete",
                format!("(SELECT count(*) FROM jsonb_object_keys(changed_from)) = {fields} AND data_after IS NULL"),
            ),
        ] {
            let recorded = session.value(&format!(
                "SELECT count(DISTINCT table_pk) FROM threadline.audit_changes WHERE table_name = '{}' AND op = '{op}' AND {shape}",
                self.table
            ));
            assert_eq!(recorded, self.rows.to_string(), "{op}");
        }
    }

    /// A digest of everything recorded since the change with this id.
    pub(crate) fn digest(&self, session: &mut Session, since: &str) -> String {
        session.value(&format!(
            "SELECT md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")) FROM (
                 SELECT concat_ws('|', op, table_pk, key_hash, data_after, changed_fields, changed_from) AS line
                 FROM threadline.audit_changes WHERE table_name = '{}' AND id > {since}) AS lines",
            self.table
        ))
    }

    /// Which columns were recorded differently before and after the change with this id.
    pub(crate) fn differing(&self, session: &mut Session, since: &str) -> Vec<String> {
        session.column(&format!(
            "SELECT DISTINCT key || ': ' || left(min(value::text), 80) || ' or ' || left(max(value::text), 80) FROM (
                 SELECT op, table_pk, e.key, e.value, id > {since} AS later FROM threadline.audit_changes, jsonb_each(coalesce(data_after, changed_from)) AS e
                 WHERE table_name = '{}') AS fields
             GROUP BY op, table_pk, key HAVING count(DISTINCT value) > 1 LIMIT 20",
            self.table
        ))
    }
}
