//! SeaORM: to come with its adapter, as `SeaOrm`.
