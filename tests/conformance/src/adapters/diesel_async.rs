//! diesel-async: to come with its adapter, as `DieselAsync`.
