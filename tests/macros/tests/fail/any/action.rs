//! `action!` takes the name of the action, as a literal that can be recorded.

fn main() {
    let name = "post.published";
    let _ = threadline::action!();
    let _ = threadline::action!(name);
    let _ = threadline::action!(reason = "editor approved");
    let _ = threadline::action!("post.published", "editor approved");
    let _ = threadline::action!("");
    let _ = threadline::action!("post.published ");
}
