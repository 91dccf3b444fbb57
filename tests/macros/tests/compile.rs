//! Programs that compile without an annotation, and programs that do not, with the message that their author reads.
//!
//! The messages are the compiler's as well as ours. They are compared with those of the toolchain in
//! `rust-toolchain.toml`; `TRYBUILD=overwrite cargo test -p threadline-tests-macros` writes them anew.

#[test]
fn macros() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/pass/*/*.rs");
    cases.compile_fail("tests/fail/*/*.rs");
}
