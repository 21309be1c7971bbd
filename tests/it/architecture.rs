//! The layering that `src/lib.rs` promises, proved from the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which module may use which: the table of `src/lib.rs`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("plan", &["domain"]),
    ("config", &["domain", "security"]),
    ("security", &["domain"]),
    ("storage", &["domain", "plan", "security"]),
    ("js", &["domain"]),
    ("egress", &["domain", "security"]),
    ("logic", &["domain", "config", "storage", "security", "js", "modules"]),
    ("observe", &["domain"]),
    ("engine", &["domain", "plan", "storage", "security", "js", "egress", "observe"]),
    ("http", &["domain", "security", "storage", "observe"]),
    (
        "api",
        &[
            "http", "domain", "plan", "storage", "security", "config", "logic", "modules", "js", "egress",
            "engine",
        ],
    ),
    ("cli", &["app", "domain", "config", "security", "js", "logic", "observe"]),
];

/// Crates that live in one place only.
const HOMES: &[(&str, &[&str])] = &[
    ("diesel", &["storage"]),
    ("r2d2", &["storage"]),
    ("deno_core", &["js"]),
    ("deno_web", &["js"]),
    ("deno_fetch", &["js"]),
    ("reqwest", &["egress", "logic", "cli"]),
    ("oxc", &["logic"]),
    ("rolldown", &["logic"]),
    ("deno_npm", &["logic"]),
    ("actix_web", &["http", "api", "app"]),
    ("actix_http", &["http"]),
    ("actix_service", &["http"]),
    ("actix", &["engine"]),
    ("clap", &["cli"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn modules() -> BTreeMap<String, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_string_lossy();
        modules.entry(module.trim_end_matches(".rs").to_owned()).or_default().push(file);
    }
    modules
}

/// Code without comments, strings left in: what `crate::` and `::` stand in.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn words_after<'a>(code: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let word =
        |rest: &'a str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let mut words: BTreeSet<&str> = code.split(prefix).skip(1).map(word).collect();
    words.remove("");
    words
}

#[test]
fn modules_use_only_what_the_map_allows() {
    let mut faults = Vec::new();
    let modules = modules();
    for (module, files) in &modules {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == module) else { continue };
        for file in files {
            let code = code(file);
            for used in words_after(&code, "crate::") {
                let other = modules.contains_key(used) && used != module;
                if other && !allowed.contains(&used) {
                    faults.push(format!("{} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn crates_stay_in_their_homes() {
    let mut faults = Vec::new();
    for (module, files) in modules() {
        for file in files {
            let code = code(&file);
            for (name, homes) in HOMES.iter().filter(|(_, homes)| !homes.contains(&module.as_str())) {
                let used = code
                    .split(&format!("{name}::"))
                    .zip(code.split(&format!("{name}::")).skip(1))
                    .any(|(before, _)| {
                        !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                    });
                if used {
                    faults.push(format!("{} uses {name}, which lives in {homes:?}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whatever is shown passes one place, which writes out what a terminal would obey.
#[test]
fn only_one_file_of_the_command_line_writes() {
    for file in &modules()["cli"] {
        let code = code(file);
        let writes = ["write!(", "writeln!(", "println!(", "print!("].iter().any(|word| code.contains(word));
        assert!(!writes || file.ends_with("cli/print.rs"), "{}", file.display());
    }
}

#[test]
fn unsafe_code_lives_in_the_sandbox_alone() {
    for (_, files) in modules() {
        let in_sandbox = |file: &Path| {
            file.ends_with("js/sandbox.rs")
                || file.parent().is_some_and(|folder| folder.ends_with("js/sandbox"))
        };
        for file in files.iter().filter(|file| !in_sandbox(file)) {
            assert!(!code(file).contains("unsafe "), "{}", file.display());
        }
    }
}

#[test]
fn the_map_names_every_module() {
    let map = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for module in modules().keys().filter(|module| !["lib", "main"].contains(&module.as_str())) {
        assert!(map.contains(&format!("[`{module}`]")), "src/lib.rs does not say what `{module}` is for");
    }
}

/// What other people wrote comes from a registry or a package when it is needed, and
/// is never part of the repository.
#[test]
fn the_repository_holds_nobody_elses_text() {
    let mut faults = Vec::new();
    look_for_others(Path::new(env!("CARGO_MANIFEST_DIR")), &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is no part of it, and where others' things are kept in many projects.
const NOT_OURS: &[&str] = &[".git", ".cache", "target", "__pycache__"];
const FOLDERS_OF_OTHERS: &[&str] =
    &["vendor", "vendored", "third_party", "third-party", "thirdparty", "node_modules", "bower_components"];
/// How files of others tell whose they are; written so that this file does not.
const MARKS_OF_OTHERS: &[&str] = &[
    concat!("copy", "right"),
    concat!("all rights", " reserved"),
    concat!("spdx-", "license-identifier"),
    concat!("@", "license"),
    concat!("permission is hereby", " granted"),
    concat!("licensed under", " the"),
];
/// How files that hold a licence are called.
const LICENCES: &[&str] = &["license", "licence", "copying", "notice", "unlicense", "authors", "patents"];

fn look_for_others(folder: &Path, faults: &mut Vec<String>) {
    let top = folder == Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
        if NOT_OURS.contains(&name.as_str()) || (top && name == "license") {
            continue;
        }
        if path.is_dir() {
            if FOLDERS_OF_OTHERS.contains(&name.as_str()) {
                faults.push(format!("{} is a folder for what others wrote", path.display()));
            }
            look_for_others(&path, faults);
        } else if LICENCES.contains(&name.split(['.', '-']).next().unwrap_or_default()) {
            faults.push(format!("{} is a licence of somebody else's", path.display()));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let text = text.to_lowercase();
            let marks = MARKS_OF_OTHERS.iter().filter(|mark| text.contains(**mark));
            faults.extend(marks.map(|mark| format!("{} says `{mark}`", path.display())));
        }
    }
}
