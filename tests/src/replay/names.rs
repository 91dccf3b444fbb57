//! Names for tables and columns: keywords, quotes, other scripts, and the names that capture itself uses inside.

use fastrand::Rng;

const NAMES: &[&str] = &[
    "plain",
    "Upper Case",
    "quo\"te",
    "apos'trophe",
    "select",
    "table",
    "user",
    "order",
    "Ünïcode ☃",
    "日本語",
    "with space",
    "percent %s %I",
    "back\\slash",
    "$1",
    "$body$",
    "@schema@",
    "new",
    "old",
    "new_rows",
    "old_rows",
    "o",
    "n",
    "p",
    "k",
    "i",
    "c1",
    "d1",
    "n1",
    "pk",
    "image",
    "absent",
    "position",
    "previous_pk",
    "changed_fields",
    "changed_from",
    "tg_op",
    "found",
    "record",
    "text",
    "id",
    "data_after",
    "threadline.json",
    "a name that is as long as a name can be, which is 63 bytes, so",
];

/// Hands out names without repeating one.
#[derive(Debug)]
pub struct Names {
    left: Vec<&'static str>,
}

impl Names {
    /// All names, in random order.
    #[must_use]
    pub fn shuffled(rng: &mut Rng) -> Self {
        let mut left = NAMES.to_vec();
        rng.shuffle(&mut left);
        Self { left }
    }

    /// A name that was not handed out before; `fallback` when they are used up.
    pub fn next(&mut self, fallback: &str) -> String {
        self.left.pop().map_or_else(|| fallback.to_owned(), str::to_owned)
    }
}
