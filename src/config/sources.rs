//! What a configuration was read from, and whether that has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{ConfigError, Overrides, environment};

/// Where a configuration is: it can be read from there again.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// What the command line says over it.
    pub overrides: Overrides,
}

impl Origin {
    /// What an error at this key blames: the variable or the option that says it, or else the file.
    pub(super) fn of(&self, key: &str) -> String {
        // A variable holds a list whole.
        let setting = key.split('[').next().unwrap_or(key);
        if let Some(upstream) = &self.overrides.upstream {
            match setting {
                "upstream.base_url" => return "--upstream".to_owned(),
                "upstream.api_key_env" if upstream.api_key_env.is_some() => {
                    return "--upstream-key-env".to_owned();
                }
                _ => {}
            }
        }
        if environment()
            .iter()
            .any(|(said, _)| said.as_str().eq_ignore_ascii_case(setting))
        {
            return variable(setting);
        }
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "configuration".to_owned(),
        }
    }

    /// What is wrong at this key.
    pub fn wrong(&self, key: impl Into<String>, expected: impl Into<String>) -> ConfigError {
        let key = key.into();
        ConfigError::Value {
            origin: self.of(&key),
            key,
            expected: expected.into(),
        }
    }
}

/// The variable that says what stands at this key of a file.
pub(super) fn variable(key: &str) -> String {
    format!("TAILRACE_{}", key.replace('.', "__").to_uppercase())
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
        let is_fixed = |key: &&str| ["redis.", "traces."].iter().any(|it| key.starts_with(it));
        self.other_contents(new).filter(is_fixed)
    }

    /// The settings whose files hold something else there.
    pub(super) fn other_contents<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = &'a str> {
        let changed = self.settings.iter().filter(|(key, path)| {
            let other = new.settings.get(*key);
            // Another section is said to be another already.
            other.is_some_and(|other| self.files.get(*path) != new.files.get(other))
        });
        changed.map(|(key, _)| key.as_str())
    }

    /// Those of the files that hold something else there.
    #[must_use]
    pub fn other_files(&self, new: &Self) -> Vec<&Path> {
        let changed = self
            .files
            .iter()
            .filter(|(path, content)| new.files.get(*path) != Some(*content));
        changed.map(|(path, _)| path.as_path()).collect()
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
