//! Every adapter in one program, on one trail: see `tests/`.
