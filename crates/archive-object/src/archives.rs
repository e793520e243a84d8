//! Who opens archives in object stores.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use annals_log::{Archive, OpenArchive};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::ahead::Ahead;
use crate::bridge::Bridge;
use crate::calls::Calls;
use crate::folder::Folder;
use crate::place::{self, Place};
use crate::settings::Settings;

/// How the names of variables begin that are options of stores.
const VARIABLES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Opens archives in object stores, for `annals_log::Archives::opened_by`.
///
/// A location is a URL (see the [crate](crate)), the prefix in which is that of all objects there. Each store is opened
/// when it is first asked for, and kept; nothing is asked of it by that. All archives that one of these opened share a
/// thread, which is started with the first and ends when they are dropped.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_archive_object::ObjectArchives;
/// use annals_archive_object::object_store::memory::InMemory;
/// use annals_log::OpenArchive;
///
/// let archives = ObjectArchives::default().store("test://cold", Arc::new(InMemory::new()));
/// assert!(archives.open_archive("test://cold/shop", "folder").is_some());
/// assert!(archives.open_archive("/mnt/cold", "folder").is_none());
/// ```
#[derive(Default)]
pub struct ObjectArchives {
    options: Vec<(String, String)>,
    given: Vec<(String, Arc<dyn ObjectStore>)>,
    settings: Settings,
    opened: Mutex<Opened>,
}

/// What was opened.
#[derive(Default)]
struct Opened {
    places: HashMap<String, Place>,
    machine: Option<(Calls, Arc<Ahead>)>,
}

impl ObjectArchives {
    /// With the options that the environment has as it is now: every variable whose name begins with `AWS_`, `AZURE_`
    /// or `GOOGLE_`, as `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, `GOOGLE_SERVICE_ACCOUNT`,
    /// `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`. Where no keys are among them, a store asks the
    /// machine that it runs on, in the manner of its cloud.
    pub fn from_env() -> Self {
        let variables = std::env::vars_os();
        let texts = variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let options = texts.filter(|(name, _)| VARIABLES.iter().any(|it| name.starts_with(it)));
        Self {
            options: options.collect(),
            ..Self::default()
        }
    }

    /// With an option for stores that are opened by a URL, as the `object_store` crate names it, in place of one of this
    /// name: `aws_region`, `aws_endpoint`, `google_service_account`, `azure_storage_account_key`. Those that a store does
    /// not know are left out.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    /// With a store for all locations that are this one or begin with it and a slash: one of the program's own, or one
    /// that is opened in another manner than by a URL. The first that was given for a location has it.
    #[must_use]
    pub fn store(mut self, location: impl Into<String>, store: Arc<dyn ObjectStore>) -> Self {
        self.given.push((location.into(), store));
        self
    }

    /// With these limits in place of the default ones.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Where a location is; `None` when it is none of these.
    fn place(&self, location: &str) -> Option<io::Result<Place>> {
        for (base, store) in &self.given {
            let Some(below) = location.strip_prefix(base.trim_end_matches('/')) else {
                continue;
            };
            if below.is_empty() || below.starts_with('/') {
                let prefix = Path::parse(below).map_err(|error| invalid(&error.to_string()));
                return Some(prefix.map(|prefix| Place {
                    store: Arc::clone(store),
                    prefix,
                }));
            }
        }
        place::open(location, &self.options, self.settings.attempt_timeout)
    }

    fn folder(&self, location: &str, folder: &str) -> Option<io::Result<Folder>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match opened.places.get(location) {
            Some(known) => known.clone(),
            None => match self.place(location)? {
                Err(error) => return Some(Err(error)),
                Ok(place) => {
                    let known = opened.places.entry(location.to_owned());
                    known.or_insert(place).clone()
                }
            },
        };
        let machine = self.machine(&mut opened);
        Some(machine.map(|(calls, ahead)| Folder {
            store: place.store,
            calls,
            ahead,
            path: place.prefix.join(folder),
        }))
    }

    fn machine(&self, opened: &mut Opened) -> io::Result<(Calls, Arc<Ahead>)> {
        if let Some(running) = &opened.machine {
            return Ok(running.clone());
        }
        self.settings.check()?;
        let bridge = Arc::new(Bridge::start()?);
        let calls = Calls::new(bridge, Arc::new(self.settings.clone()));
        let ahead = Arc::new(Ahead::new(self.settings.ahead_bytes_max));
        Ok(opened.machine.insert((calls, ahead)).clone())
    }
}

pub(crate) fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl OpenArchive for ObjectArchives {
    fn open_archive(&self, location: &str, folder: &str) -> Option<io::Result<Arc<dyn Archive>>> {
        let folder = self.folder(location, folder)?;
        Some(folder.map(|folder| Arc::new(folder) as Arc<dyn Archive>))
    }
}

impl fmt::Debug for ObjectArchives {
    /// Without the options, of which one may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.given.iter().map(|(location, _)| location);
        f.debug_struct("ObjectArchives")
            .field("given", &given.collect::<Vec<_>>())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
