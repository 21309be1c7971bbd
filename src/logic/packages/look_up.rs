//! What the resolver asks of the registry, for one choice. It asks for the same
//! package many times and for any number at once, and follows whatever packages
//! depend on; so it is here that a graph without end is left.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use deno_npm::registry::{NpmPackageInfo, NpmRegistryApi, NpmRegistryPackageInfoLoadError as LoadError};
use deno_npm::resolution::NpmResolutionSnapshot;
use tokio::sync::OnceCell;

use super::optional::Missing;
use super::registry::Client;
use super::{PackageError, install};

/// Packages that are looked at for each that may be installed: of packages for
/// a platform, one names a dozen.
const LOOKED_AT: usize = 4;
/// As many in any case.
const LOOKED_AT_LEAST: usize = 100;
/// Most bytes that the registry may say of all of them.
const MAX_INFOS: usize = 512 << 20;

type Info = Option<Arc<NpmPackageInfo>>;

/// The registry, as one choice sees it.
pub(super) struct LookUp {
    client: Arc<Client>,
    max_count: usize,
    asked: RefCell<HashMap<String, Rc<OnceCell<Info>>>>,
    size: Cell<usize>,
    failed: RefCell<Option<PackageError>>,
    left_out: RefCell<Vec<Missing>>,
}

impl LookUp {
    /// `max_count`: packages that may be installed. It is made on the thread that
    /// it stays on.
    pub fn new(client: Arc<Client>, max_count: usize) -> impl FnOnce() -> Self + Send {
        move || Self {
            client,
            max_count,
            asked: RefCell::default(),
            size: Cell::new(0),
            failed: RefCell::default(),
            left_out: RefCell::default(),
        }
    }

    /// Why it could not answer; the first reason, once.
    pub fn failed(&self) -> Option<PackageError> {
        self.failed.borrow_mut().take()
    }

    /// From now on no package depends on it that can do without; or on what needs
    /// it, if that is what can be done without. False when nothing has changed.
    pub fn leave_out(&self, missing: Missing) -> bool {
        let mut seen = HashSet::new();
        let mut ahead = vec![missing];
        while let Some(missing) = ahead.pop() {
            if self.leave_out_itself(&missing) {
                return true;
            }
            let needing = self.needing(&missing).into_iter().filter(|name| seen.insert(name.clone()));
            ahead.extend(needing.map(Missing::package));
        }
        false
    }

    fn leave_out_itself(&self, missing: &Missing) -> bool {
        let mut changed = false;
        for cell in self.asked.borrow_mut().values_mut() {
            let info = cell.get().and_then(Option::as_ref);
            if let Some(without) = info.and_then(|info| missing.taken_from(info)) {
                *cell = Rc::new(OnceCell::new_with(Some(Some(Arc::new(without)))));
                changed = true;
            }
        }
        if changed {
            self.left_out.borrow_mut().push(missing.clone());
        }
        changed
    }

    /// The packages that cannot do without it, in order.
    pub fn needing(&self, missing: &Missing) -> BTreeSet<String> {
        let asked = self.asked.borrow();
        let infos = asked.values().filter_map(|cell| cell.get()?.as_ref());
        infos.filter(|info| missing.is_needed_by(info)).map(|info| info.name.to_string()).collect()
    }

    /// `name@version` of what was chosen without the registry saying its date.
    pub fn undated(&self, chosen: &NpmResolutionSnapshot) -> Vec<String> {
        let asked = self.asked.borrow();
        let dated = |name: &str, version: &deno_semver::Version| {
            let info = asked.get(name).and_then(|info| info.get()).and_then(Option::as_ref);
            info.is_some_and(|info| info.time.contains_key(version))
        };
        let needed = install::needed(chosen);
        let mut undated: Vec<_> = needed
            .iter()
            .map(|package| &package.id.nv)
            .filter(|nv| !dated(&nv.name, &nv.version))
            .map(|nv| format!("{}@{}", nv.name, nv.version))
            .collect();
        undated.dedup();
        undated
    }

    async fn look_up(&self, name: &str) -> Result<Info, PackageError> {
        let cell = self.cell(name)?;
        let info = cell.get_or_try_init(|| self.ask(name)).await?;
        Ok(info.clone())
    }

    fn cell(&self, name: &str) -> Result<Rc<OnceCell<Info>>, PackageError> {
        let mut asked = self.asked.borrow_mut();
        if let Some(cell) = asked.get(name) {
            return Ok(cell.clone());
        }
        let most = self.max_count.saturating_mul(LOOKED_AT).max(LOOKED_AT_LEAST);
        if asked.len() >= most {
            return Err(PackageError::refused_all(format!(
                "leads to more than {most} packages that have to be looked at, and `packages.maxCount` is {}",
                self.max_count
            )));
        }
        Ok(asked.entry(name.to_owned()).or_default().clone())
    }

    async fn ask(&self, name: &str) -> Result<Info, PackageError> {
        let info = self.client.info(name).await?;
        let said = info.as_ref().and_then(|info| info.lazy_packument_source_bytes()).map_or(0, <[u8]>::len);
        let size = self.size.get() + said;
        self.size.set(size);
        if size > MAX_INFOS {
            let most = MAX_INFOS >> 20;
            let rule = format!("leads to packages that the registry describes in more than {most} MiB");
            return Err(PackageError::refused_all(rule));
        }
        let left_out = self.left_out.borrow();
        let without =
            |info: Arc<NpmPackageInfo>, missing: &Missing| missing.taken_from(&info).map_or(info, Arc::new);
        Ok(info.map(|info| left_out.iter().fold(info, without)))
    }
}

#[async_trait::async_trait(?Send)]
impl NpmRegistryApi for LookUp {
    async fn package_info(&self, name: &str) -> Result<Arc<NpmPackageInfo>, LoadError> {
        match self.look_up(name).await {
            Ok(Some(info)) => Ok(info),
            Ok(None) => Err(LoadError::PackageNotExists { package_name: name.to_owned() }),
            Err(error) => {
                let shown = deno_error::JsErrorBox::generic(error.to_string());
                self.failed.borrow_mut().get_or_insert(error);
                Err(LoadError::LoadError(Arc::new(shown)))
            }
        }
    }
}
