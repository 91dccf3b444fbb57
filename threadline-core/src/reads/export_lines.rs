//! Lines of an export, made of its rows.

use super::{
    export::ExportFormat,
    export_row::{self, ACTION, CHANGE, Field, Form, Holds, TRANSACTION},
};
use crate::Error;

/// Makes lines of rows.
#[derive(Debug)]
pub(super) struct Lines {
    csv: bool,
    raw_cells: bool,
    form: Form,
    /// Transaction and action of the row before, and what they became: often the next row has the same.
    last: String,
    last_made: String,
}

impl Lines {
    pub(super) fn new(format: ExportFormat, raw_cells: bool, form: Form) -> Self {
        let csv = format == ExportFormat::Csv;
        Self { csv, raw_cells, form, last: String::new(), last_made: String::new() }
    }

    /// The names of the columns of CSV.
    pub(super) fn header() -> String {
        let names: Vec<&str> = CHANGE.iter().map(|field| field.name).chain(OF_TRANSACTION).collect();
        names.join(",")
    }

    /// Adds the line of a row, without its end.
    pub(super) fn add(&mut self, row: &str, text: &mut String) -> Result<(), Error> {
        let (change, about) = export_row::split(row, self.form)?;
        let change: [&str; CHANGE.len()] = export_row::fields(change, self.form)?;
        match about {
            Some(about) if about != self.last => {
                let mut made = std::mem::take(&mut self.last_made);
                made.clear();
                self.about(about, &mut made)?;
                self.last_made = made;
                about.clone_into(&mut self.last);
            }
            None if self.last.is_empty() => return Err(export_row::unreadable()),
            Some(_) | None => {}
        }
        if self.csv {
            for (field, raw) in CHANGE.iter().zip(change) {
                self.cell(field.holds, field.read(raw, self.form)?.as_deref(), text);
                text.push(',');
            }
        } else {
            text.push('{');
            self.members(&CHANGE, &change, text)?;
        }
        text.push_str(&self.last_made);
        Ok(())
    }

    /// What a line ends with: transaction and action.
    fn about(&self, raw: &str, text: &mut String) -> Result<(), Error> {
        let all: [&str; TRANSACTION.len() + ACTION.len()] = export_row::fields(raw, self.form)?;
        let (transaction, action) = all.split_at(TRANSACTION.len());
        let (transaction_json, action_json) = (self.object(&TRANSACTION, transaction)?, self.object(&ACTION, action)?);
        if !self.csv {
            for (name, object) in [("transaction", transaction_json), ("action", action_json)] {
                text.push_str(",\"");
                text.push_str(name);
                text.push_str("\":");
                text.push_str(object.as_deref().unwrap_or("null"));
            }
            text.push('}');
            return Ok(());
        }
        self.cell(Holds::Json, transaction_json.as_deref(), text);
        for name in ["correlation_id", "action_id"] {
            text.push(',');
            let found = TRANSACTION.iter().zip(transaction).find(|(field, _)| field.name == name);
            if let Some((field, raw)) = found {
                self.cell(field.holds, field.read(raw, self.form)?.as_deref(), text);
            }
        }
        text.push(',');
        self.cell(Holds::Json, action_json.as_deref(), text);
        Ok(())
    }

    /// An object of these fields; `None` when there is none, and so no id.
    fn object(&self, fields: &[Field], raw: &[&str]) -> Result<Option<String>, Error> {
        let (Some(id), Some(raw_id)) = (fields.first(), raw.first()) else { return Ok(None) };
        if id.read(raw_id, self.form)?.is_none() {
            return Ok(None);
        }
        let mut text = String::from("{");
        self.members(fields, raw, &mut text)?;
        text.push('}');
        Ok(Some(text))
    }

    fn members(&self, fields: &[Field], raw: &[&str], text: &mut String) -> Result<(), Error> {
        for (index, (field, raw)) in fields.iter().zip(raw).enumerate() {
            text.push_str(if index == 0 { "\"" } else { ",\"" });
            text.push_str(field.name);
            text.push_str("\":");
            match (field.read(raw, self.form)?, field.holds) {
                (None, _) => text.push_str("null"),
                (Some(value), Holds::Number | Holds::Json) => text.push_str(&value),
                (Some(value), Holds::Word | Holds::Instant) => {
                    text.push('"');
                    text.push_str(&value);
                    text.push('"');
                }
                (Some(value), Holds::Text) => text.push_str(&json_string(&value)?),
            }
        }
        Ok(())
    }

    /// A quoted value; an empty field when there is none.
    fn cell(&self, holds: Holds, value: Option<&str>, text: &mut String) {
        let Some(value) = value else { return };
        text.push('"');
        match holds {
            Holds::Number | Holds::Word | Holds::Instant => text.push_str(value),
            Holds::Json => quoted(value, text),
            Holds::Text => {
                if !self.raw_cells && value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
                    text.push('\'');
                }
                quoted(value, text);
            }
        }
        text.push('"');
    }
}

/// What CSV has beside the change: as the original has it.
const OF_TRANSACTION: [&str; 4] = ["transaction_json", "correlation_id", "action_id", "action_json"];

/// Every quote twice.
fn quoted(value: &str, text: &mut String) {
    for (index, part) in value.split('"').enumerate() {
        if index > 0 {
            text.push_str("\"\"");
        }
        text.push_str(part);
    }
}

fn json_string(value: &str) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::unreadable("a text of an export", error))
}
