//! Embeds the scripts of the `deno_*` extension crates. The crates record them
//! by absolute path, to be read when a snapshot is made; without a snapshot a
//! binary would look for the build machine's registry at run time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What the sandbox's globals need, by crate.
const SCRIPTS: &[(&str, &[&str])] = &[
    ("deno_webidl", &["00_webidl.js"]),
    (
        "deno_web",
        &[
            "00_infra.js",
            "00_url.js",
            "01_console.js",
            "01_dom_exception.js",
            "01_mimesniff.js",
            "01_urlpattern.js",
            "02_event.js",
            "02_structured_clone.js",
            "03_abort_signal.js",
            "05_base64.js",
            "06_streams.js",
            "08_text_encoding.js",
            "09_file.js",
            "12_location.js",
            "13_message_port.js",
        ],
    ),
    ("deno_fetch", &["20_headers.js", "21_formdata.js", "22_body.js", "23_request.js", "23_response.js"]),
    ("deno_crypto", &["00_crypto.js"]),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=build.rs");
    let lock = fs::read_to_string("Cargo.lock")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    for (package, scripts) in SCRIPTS {
        let home = package_home(&lock, package)?;
        fs::write(out.join(format!("{package}.rs")), sources(package, scripts, &home))?;
    }
    Ok(())
}

/// Where cargo has unpacked a package: in the registry of this machine, or, for
/// vendored sources, where `cargo metadata` says. The registry comes first
/// because `cargo metadata` also wants packages that this build never fetches.
fn package_home(lock: &str, package: &str) -> io::Result<PathBuf> {
    let unknown = || io::Error::other(format!("Cargo.lock does not name {package}"));
    let entry = lock.split(&format!("name = \"{package}\"\nversion = \"")).nth(1).ok_or_else(unknown)?;
    let version = entry.split('"').next().ok_or_else(unknown)?;
    let folder = format!("{package}-{version}");
    match in_registry(&folder) {
        Some(home) => Ok(home),
        None => in_metadata(&metadata()?, package, &folder)
            .ok_or_else(|| io::Error::other(format!("the sources of {folder} cannot be found"))),
    }
}

fn in_registry(folder: &str) -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?;
    registries.flatten().map(|registry| registry.path().join(folder)).find(|home| home.is_dir())
}

fn metadata() -> io::Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .current_dir(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into()))
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Finds `"manifest_path":"…/<package>[-<version>]/Cargo.toml"`. A JSON parser
/// would be a build dependency for this one line.
fn in_metadata(metadata: &str, package: &str, folder: &str) -> Option<PathBuf> {
    metadata.split("\"manifest_path\":\"").skip(1).find_map(|rest| {
        let home = Path::new(rest.split('"').next()?).parent()?;
        let name = home.file_name()?.to_str()?;
        (name == package || name == folder).then(|| home.to_owned())
    })
}

fn sources(package: &str, scripts: &[&str], home: &Path) -> String {
    let mut list = String::from("[\n");
    for script in scripts {
        let path = home.join(script);
        println!("cargo::rerun-if-changed={}", path.display());
        let _ = writeln!(
            list,
            "    deno_core::ExtensionFileSource::new({:?}, deno_core::ascii_str_include!({path:?})),",
            format!("ext:{package}/{script}"),
        );
    }
    list + "]\n"
}
