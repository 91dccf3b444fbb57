//! One server for the examples of a crate's documentation.
//!
//! rustdoc makes one program of them and runs it for each in a process of its own, a child of the first, which outlives
//! them. Starting a server in each would be most of the time that they take.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::mem;
use std::os::unix::process::parent_id;
use std::path::PathBuf;

use crate::Error;
use crate::cluster::Cluster;

/// What rustdoc tells an example's process: which one it is. Without it, each example has a server of its own.
const EXAMPLE: &str = "RUSTDOC_DOCTEST_RUN_NB_TEST";

/// The examples of the same program.
pub(crate) struct Siblings {
    /// Beside the program, in a folder that rustdoc removes.
    address: PathBuf,
    program: u32,
}

impl Siblings {
    /// Those of this process, if it is an example.
    pub(crate) fn of_this_process() -> Option<Self> {
        env::var_os(EXAMPLE)?;
        let address = env::current_exe().ok()?.with_file_name("threadline-testkit-server");
        Some(Self { address, program: parent_id() })
    }

    /// The address of their server, which the first of them starts: `start` gets the process with which it ends.
    pub(crate) fn server(&self, start: impl FnOnce(u32) -> Result<Cluster, Error>) -> Result<String, Error> {
        let failed = |error| Error::with(format!("cannot use {}", self.address.display()), error);
        let mut file = File::options().read(true).append(true).create(true).open(&self.address).map_err(failed)?;
        // Until it is closed.
        file.lock().map_err(failed)?;
        let mut url = String::new();
        file.read_to_string(&mut url).map_err(failed)?;
        if url.is_empty() {
            let cluster = start(self.program)?;
            url = cluster.url();
            // Its end would stop the server, or wait for the program's.
            mem::forget(cluster);
            file.write_all(url.as_bytes()).map_err(failed)?;
        }
        Ok(url)
    }
}
