//! A package registry that does what no real one would do on request. It answers
//! as npm's documents it (GET /{name}, GET /-/v1/search), and nothing else.

use std::io::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisiond::config::{PackagesConfig, Registry};
use serde_json::{Value, json};

use crate::support::sink::{Answer, Sink};

pub struct FakeRegistry {
    pub sink: Sink,
}

/// A release of a package.
#[derive(Clone)]
pub struct Release {
    name: String,
    version: String,
    manifest: Value,
    files: Vec<(String, String)>,
    published_at: Option<String>,
}

impl Release {
    /// With `index.js` only, published long ago.
    pub fn new(name: &str, version: &str, code: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            manifest: json!({ "name": name, "version": version, "main": "index.js", "license": "MIT" }),
            files: vec![("package/index.js".into(), code.into())],
            published_at: Some("2020-01-01T00:00:00.000Z".into()),
        }
    }

    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    pub fn needs(mut self, name: &str, range: &str) -> Self {
        self.manifest["dependencies"][name] = range.into();
        self
    }

    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.manifest[member] = value;
        self
    }

    pub fn published(mut self, days_ago: i64) -> Self {
        let at = chrono::Utc::now() - chrono::Duration::days(days_ago);
        self.published_at = Some(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        self
    }

    /// The registry does not say when.
    pub fn undated(mut self) -> Self {
        self.published_at = None;
        self
    }

    fn archive(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let manifest = ("package/package.json".to_owned(), self.manifest.to_string());
        for (path, content) in self.files.iter().chain([&manifest]) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&builder.into_inner().unwrap()).unwrap();
        packed.finish().unwrap()
    }
}

impl FakeRegistry {
    pub async fn start(releases: &[Release]) -> Self {
        let registry = Self { sink: Sink::start().await };
        registry.sink.answer(Answer::new(404).body(json!({ "error": "Not found" })));
        registry.publish(releases);
        registry
    }

    /// Replaces what it says of these packages.
    pub fn publish(&self, releases: &[Release]) {
        let mut infos: std::collections::BTreeMap<&str, Value> = Default::default();
        for release in releases {
            let info = infos.entry(&release.name).or_insert_with(
                || json!({ "_id": release.name, "name": release.name, "dist-tags": {}, "versions": {}, "time": {} }),
            );
            let archive = release.archive();
            let hash = STANDARD.encode(digest::digest(&digest::SHA512, &archive));
            let file = format!("/{}/-/{}.tgz", release.name, release.version);
            let mut version = release.manifest.clone();
            version["dist"] = json!({
                "tarball": format!("{}{file}", self.sink.url),
                "integrity": format!("sha512-{hash}"),
            });
            info["versions"][&release.version] = version;
            info["dist-tags"]["latest"] = release.version.as_str().into();
            if let Some(at) = &release.published_at {
                info["time"][&release.version] = at.as_str().into();
            }
            self.sink.answer(Answer::new(200).method("GET").to(&file).bytes(archive));
        }
        for (name, info) in infos {
            let path = format!("/{}", name.replace('/', "%2f"));
            self.sink.answer(Answer::new(200).method("GET").only_to(&path).body(info));
        }
    }

    /// What it says of a package.
    pub async fn info(&self, name: &str) -> Value {
        let answer = reqwest::get(format!("{}/{name}", self.sink.url)).await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub fn config(&self) -> PackagesConfig {
        super::config(Registry::At(self.sink.url.parse().unwrap()))
    }
}
