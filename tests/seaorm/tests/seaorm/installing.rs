//! installing
