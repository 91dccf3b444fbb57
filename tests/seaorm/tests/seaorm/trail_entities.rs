//! trail_entities
