//! Models that say too little, too much or the wrong thing.

use threadline::sqlx::prelude::*;

#[derive(Audited)]
struct NoTable {
    id: i64,
}

#[derive(Audited)]
#[audited(table = "posts", masked(email))]
struct UnknownOption {
    email: Option<String>,
}

#[derive(Audited)]
#[audited(table = "posts", mask(emial))]
struct UnknownField {
    id: i64,
    email: Option<String>,
}

#[derive(Audited)]
#[audited(table = "posts", mask(email), exclude(email))]
struct Contradiction {
    email: Option<String>,
}

#[derive(Audited)]
#[audited(table = "posts", mask(id))]
struct MaskedKey {
    id: i64,
}

#[derive(Audited)]
#[audited(table = "posts", images = "lean", except(views))]
struct Lean {
    id: i64,
    views: i64,
}

#[derive(Audited)]
#[audited(table = "posts", images = "slim")]
struct UnknownWord {
    id: i64,
}

#[derive(Audited)]
#[audited(table = "posts", table = "articles")]
struct Twice {
    id: i64,
}

#[derive(Audited)]
#[audited(table = "posts")]
struct OnTheField {
    #[audited(mask)]
    email: Option<String>,
}

#[derive(Audited)]
#[audited(table = "posts")]
enum NoStruct {}

fn main() {}
