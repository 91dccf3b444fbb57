//! Threadline's adapter for Diesel 2.3 and diesel-async 0.9.
