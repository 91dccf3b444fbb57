//! Threadline's adapter for SeaORM 2.
