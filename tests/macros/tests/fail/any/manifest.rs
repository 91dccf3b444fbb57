//! A type that is no model.

use threadline::sqlx::prelude::*;

struct Post;

fn main() {
    let _manifest = manifest![Post];
}
