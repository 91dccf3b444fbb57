//! What the traits of the core say to what does not have them.

use threadline::{
    AsyncConnection, Audited, BlockingConnection, InstalledVersion, Operation, ScopedRead, Streamed, Timeline,
};

struct Post;
struct Connection;

fn model<T: Audited>() {}
fn operation(_: impl Operation) {}
fn scoped(_: impl ScopedRead) {}
fn streamed(_: impl Streamed) {}
fn asynchronous(_: impl AsyncConnection) {}
fn blocking(_: impl BlockingConnection) {}

fn main() {
    model::<Post>();
    operation(Post);
    scoped(InstalledVersion);
    streamed(InstalledVersion);
    asynchronous(Connection);
    blocking(Connection);

    // These have them.
    operation(Timeline::new());
    scoped(Timeline::new());
    streamed(Timeline::new());
}
