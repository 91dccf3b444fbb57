//! Programs that do not compile, with the message that their author reads; `pass.rs` has those that do.
//!
//! The messages are the compiler's as well as ours. They are compared with those of the toolchain in
//! `rust-toolchain.toml`; `TRYBUILD=overwrite cargo test -p threadline-tests-macros` writes them anew.

#[test]
fn macros() {
    trybuild::TestCases::new().compile_fail("tests/fail/*/*.rs");
}
