//! What Threadline's macros accept, and what they say to what they do not: see `tests/`.
