//! A PgBouncer of 1.21 or newer, for systems whose packages have an older one: Debian trixie's, beside its libraries.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::run::{Failed, Step};

/// The release to take it from.
const SUITE: &str = "trixie";

/// How the program is started: by the release's own loader, with its own libraries.
const LAUNCHER: &str = r#"#!/bin/sh
here=$(dirname "$0")
exec "$here/lib/loader" --library-path "$here/lib" "$here/lib/pgbouncer" "$@"
"#;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Unpack it again, although it is there
    #[arg(long)]
    update: bool,
}

/// Unpacks PgBouncer below `target`, where the test kit looks for it.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let folder = root.join("target/pgbouncer");
    let program = folder.join("pgbouncer");
    if options.update || !program.exists() {
        unpack(&folder, &program)?;
    }
    Step::new(program).args(["--version"]).succeed()?;
    Ok(ExitCode::SUCCESS)
}

fn unpack(folder: &Path, program: &Path) -> Result<(), Failed> {
    if (OS, ARCH) != ("linux", "x86_64") && (OS, ARCH) != ("linux", "aarch64") {
        return Err(Failed(format!("there is no package for {OS} on {ARCH}")));
    }
    let doing = |error: io::Error| Failed(format!("cannot write to {}: {error}", folder.display()));
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(doing)?;
    }
    let (download, tree, lib) = (folder.join("download"), folder.join("tree"), folder.join("lib"));
    for folder in [&tree, &lib] {
        fs::create_dir_all(folder).map_err(doing)?;
    }
    // Checks signatures and finds what the package depends on.
    as_root("debootstrap")?
        .args(["--download-only", "--variant=minbase", "--include=pgbouncer", SUITE])
        .args([&download])
        .succeed()?;
    for package in fs::read_dir(download.join("var/cache/apt/archives")).map_err(doing)? {
        let package = package.map_err(doing)?;
        if is_needed(&package.file_name().to_string_lossy()) {
            Step::new("dpkg-deb").args(["-x".as_ref(), package.path().as_os_str(), tree.as_os_str()]).succeed()?;
        }
    }
    let libraries = tree.join(format!("usr/lib/{ARCH}-linux-gnu"));
    let loader = fs::read_dir(&libraries)
        .map_err(doing)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
        .ok_or_else(|| Failed(format!("{} holds no loader", libraries.display())))?;
    let unpacked = tree.join("usr/sbin/pgbouncer");
    let listed = Step::new(&loader)
        .args(["--library-path".as_ref(), libraries.as_os_str(), "--list".as_ref(), unpacked.as_os_str()])
        .output()?;
    for library in listed_libraries(&listed, &libraries) {
        if let Some(name) = library.file_name() {
            fs::copy(&library, lib.join(name)).map_err(doing)?;
        }
    }
    fs::copy(loader, lib.join("loader")).map_err(doing)?;
    fs::copy(unpacked, lib.join("pgbouncer")).map_err(doing)?;
    as_root("rm")?.args(["-rf".as_ref(), download.as_os_str()]).succeed()?;
    fs::remove_dir_all(tree).map_err(doing)?;
    // Last: an unpacking that was interrupted is made again.
    fs::write(folder.join("new"), LAUNCHER).map_err(doing)?;
    Step::new("chmod").args(["755".as_ref(), folder.join("new").as_os_str()]).succeed()?;
    fs::rename(folder.join("new"), program).map_err(doing)
}

/// debootstrap insists on root, although nothing of what it downloads is run here.
fn as_root(program: &str) -> Result<Step, Failed> {
    let is_root = Step::new("id").args(["-u"]).output()?.trim() == "0";
    Ok(if is_root { Step::new(program) } else { Step::new("sudo").args(["-n", program]) })
}

/// The package and every library it could link to: no programs, no documentation.
fn is_needed(package: &str) -> bool {
    ["pgbouncer_", "lib", "zlib"].iter().any(|prefix| package.starts_with(prefix))
}

/// The files below `folder` in lines such as `libc.so.6 => /folder/libc.so.6 (0x00007f)`.
fn listed_libraries(listed: &str, folder: &Path) -> Vec<PathBuf> {
    listed
        .lines()
        .filter_map(|line| line.split_once(" => ")?.1.split_whitespace().next().map(PathBuf::from))
        .filter(|library| library.starts_with(folder))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_the_machine_itself_are_not_taken() {
        let listed =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /t/lib/libc.so.6 (0x2)\n\tlibz.so.1 => /lib/libz.so.1 (0x3)\n";
        assert_eq!(listed_libraries(listed, Path::new("/t/lib")), [Path::new("/t/lib/libc.so.6")]);
    }
}
