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
}

impl Sources {
    /// Remembers what was in a file.
    pub(super) fn note(&mut self, path: &Path, content: Option<&[u8]>) {
        self.files.insert(path.to_owned(), content.map(digest));
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
        }
    }
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}
