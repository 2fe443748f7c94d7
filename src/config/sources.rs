//! What a configuration was read from, and whether that has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Overrides;

/// Where a configuration is: it can be read from there again.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// What the command line says over it.
    pub overrides: Overrides,
}

/// The files that a configuration was read from, each with a digest of what was in it, or none if it could
/// not be read. Their times say nothing: those of mounted secrets change without the content, or the other
/// way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: BTreeMap<PathBuf, Option<[u8; 32]>>,
    /// Which of them is which setting's.
    settings: BTreeMap<String, PathBuf>,
}

impl Sources {
    /// Remembers what was in a file.
    pub(super) fn note(&mut self, path: &Path, content: Option<&[u8]>) {
        self.files.insert(path.to_owned(), content.map(digest));
    }

    /// Remembers whose file that is.
    pub(super) fn note_setting(&mut self, key: &str, path: &Path) {
        self.settings.insert(key.to_owned(), path.to_owned());
    }

    /// The settings whose files hold something else there, though they are read only at a start.
    pub fn need_restart<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = &'a str> {
        let fixed = self
            .settings
            .iter()
            .filter(|(key, _)| ["redis.", "traces."].iter().any(|it| key.starts_with(it)));
        let changed = fixed.filter(|(key, path)| {
            let other = new.settings.get(*key);
            // Another section is said to be another already.
            other.is_some_and(|other| self.files.get(*path) != new.files.get(other))
        });
        changed.map(|(key, _)| key.as_str())
    }

    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let files = self.files.keys().map(|path| {
            let content = std::fs::read(path).ok();
            (path.clone(), content.as_deref().map(digest))
        });
        Self {
            files: files.collect(),
            settings: self.settings.clone(),
        }
    }
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}
