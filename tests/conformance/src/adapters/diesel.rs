//! Diesel: to come with its adapter, as `Diesel`.
