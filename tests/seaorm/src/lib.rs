//! Tests of Threadline's SeaORM adapter; see `tests/`.
