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
    let metadata = metadata()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    for (package, scripts) in SCRIPTS {
        let home = package_home(&metadata, package)
            .ok_or_else(|| io::Error::other(format!("`cargo metadata` does not know {package}")))?;
        fs::write(out.join(format!("{package}.rs")), sources(package, scripts, &home))?;
    }
    Ok(())
}

fn metadata() -> io::Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--locked", "--all-features"])
        .current_dir(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into()))
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Finds `"manifest_path":"…/<package>[-<version>]/Cargo.toml"`. A JSON parser
/// would be a build dependency for this one line.
fn package_home(metadata: &str, package: &str) -> Option<PathBuf> {
    metadata.split("\"manifest_path\":\"").skip(1).find_map(|rest| {
        let home = Path::new(rest.split('"').next()?).parent()?;
        let folder = home.file_name()?.to_str()?;
        let version = folder.strip_prefix(package)?;
        let matches = version.is_empty()
            || version.strip_prefix('-').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        matches.then(|| home.to_owned())
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
