//! Programs that compile as they stand, without an annotation: a handler and a service for each adapter.
//!
//! Part of the workspace's own build, unlike the cases of `compile.rs`: with one program among those that has to be built
//! to the end, everything it stands on is built once more instead of being checked (51 of 142 seconds).

#![allow(
    dead_code,
    clippy::needless_pass_by_value,
    clippy::redundant_clone,
    clippy::unwrap_used,
    reason = "written as users write, and nothing calls them"
)]

/// Compiles a program, and runs its `main`.
macro_rules! program {
    ($name:ident, $path:literal) => {
        #[path = $path]
        mod $name;

        #[test]
        fn $name() {
            $name::main();
        }
    };
}

program!(diesel_handler, "pass/diesel/handler.rs");
program!(diesel_service, "pass/diesel/service.rs");
program!(diesel_async_handler, "pass/diesel_async/handler.rs");
program!(diesel_async_service, "pass/diesel_async/service.rs");
program!(seaorm_handler, "pass/seaorm/handler.rs");
program!(seaorm_service, "pass/seaorm/service.rs");
program!(sqlx_handler, "pass/sqlx/handler.rs");
program!(sqlx_service, "pass/sqlx/service.rs");
