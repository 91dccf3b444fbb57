//! Tests of Threadline's diesel-async adapter, in a package of their own so that the blocking adapter's tests do not
//! get the unstable feature of Diesel that diesel-async switches on.
