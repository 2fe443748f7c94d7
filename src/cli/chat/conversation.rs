//! A conversation that is remembered: one JSON file each, which only its owner may read.
//!
//! `{"model": "demo", "system": "...", "messages": [{"role": "user", "content": "..."}, ...]}`, in
//! `conversations/` of the state directory.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The name of the conversation that was given none.
const UNNAMED: &str = "last";

/// What was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conversation {
    /// The model that was asked for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// What the model is told before all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) system: Option<String>,
    pub(super) messages: Vec<Message>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) content: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    System,
    User,
    Assistant,
}

impl Conversation {
    /// All that the model is to see, with this question at the end.
    pub(super) fn with(&self, question: &str) -> Vec<Message> {
        let system = self
            .system
            .iter()
            .map(|system| message(Role::System, system));
        let question = message(Role::User, question);
        system
            .chain(self.messages.iter().cloned())
            .chain([question])
            .collect()
    }

    /// Keeps a question and what was answered to it.
    pub(super) fn add(&mut self, question: &str, answer: &str) {
        self.messages.push(message(Role::User, question));
        self.messages.push(message(Role::Assistant, answer));
    }
}

fn message(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.to_owned(),
    }
}

/// Where conversations lie.
pub(super) struct Conversations {
    directory: PathBuf,
}

impl Conversations {
    /// Those in this state directory.
    pub(super) fn within(state: &Path) -> Self {
        Self {
            directory: state.join("conversations"),
        }
    }

    /// The name of the one that was used last.
    pub(super) fn latest(&self) -> anyhow::Result<String> {
        let mut all = self.all()?;
        let last = all.pop().with_context(|| {
            format!(
                "there is no conversation to continue in {}",
                self.directory.display()
            )
        })?;
        Ok(last.0)
    }

    /// All names, the one that was used last at the end.
    pub(super) fn all(&self) -> anyhow::Result<Vec<(String, SystemTime)>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(&self.directory, &error)),
        };
        let mut all = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| check_name(name).is_ok()) else {
                continue;
            };
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
                && let Ok(used) = entry.metadata().and_then(|metadata| metadata.modified())
            {
                all.push((name.to_owned(), used));
            }
        }
        all.sort_by_key(|(_, used)| *used);
        Ok(all)
    }

    /// The conversation of this name; a new one if there is none yet.
    pub(super) fn load(&self, name: &str) -> anyhow::Result<Conversation> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!(
                    "{} is not a conversation; delete or mend it",
                    path.display()
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Conversation::default()),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }

    /// Writes it whole or not at all.
    ///
    /// Where a name does not hold what was there `before`, somebody else talks under it too. What
    /// they said is not ours to destroy, so that ours gets another name, which is answered.
    pub(super) fn save(
        &self,
        name: Option<&str>,
        conversation: &Conversation,
        before: &Conversation,
    ) -> anyhow::Result<Option<String>> {
        let mut other = None;
        if let Some(name) = name {
            let there = self.load(name)?;
            if there != *before && there != Conversation::default() {
                other = self.free(name);
            }
        }
        let path = self.path(other.as_deref().or(name).unwrap_or(UNNAMED));
        let draft = self
            .directory
            .join(format!(".{}.draft", std::process::id()));
        let mut text = serde_json::to_string_pretty(conversation)?;
        text.push('\n');
        let write = || {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.directory)?;
            let _none = fs::remove_file(&draft);
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(&draft)?.write_all(text.as_bytes())?;
            fs::rename(&draft, &path)
        };
        write().map_err(|error| self.failed(&path, &error))?;
        Ok(other)
    }

    /// A name like this one that nothing has yet.
    fn free(&self, name: &str) -> Option<String> {
        let name: String = name.chars().take(50).collect();
        let mut names = (2_u64..).map(|number| format!("{name}-{number}"));
        names.find(|name| !self.path(name).exists())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    #[expect(clippy::unused_self, reason = "it is about these conversations")]
    fn failed(&self, path: &Path, error: &io::Error) -> anyhow::Error {
        anyhow::anyhow!(
            "cannot use the conversation file {}: {error}",
            path.display()
        )
    }
}

/// A name becomes the name of a file.
///
/// # Errors
/// Says what was expected.
pub(super) fn check_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !name.is_empty() && name.len() <= 64 && !name.starts_with('.');
    if fits && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    Err("expected up to 64 letters, digits, and -, _ or . after the first".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_conversation_is_found_again() {
        let state = tempfile::tempdir().unwrap();
        let conversations = Conversations::within(state.path());
        assert!(conversations.latest().is_err());
        let mut said = Conversation {
            model: Some("demo".to_owned()),
            system: Some("Be short.".to_owned()),
            ..Conversation::default()
        };
        said.add("Hello?", "Hello\n\"there\" \u{1F600}\x1b");
        let none = Conversation::default();
        conversations.save(Some("work"), &said, &none).unwrap();
        assert_eq!(conversations.load("work").unwrap(), said);
        assert_eq!(conversations.latest().unwrap(), "work");
        assert_eq!(conversations.load("other").unwrap(), none);
        let all = said.with("Again?");
        let roles: Vec<_> = all.iter().map(|message| message.role).collect();
        assert_eq!(
            roles,
            [Role::System, Role::User, Role::Assistant, Role::User]
        );
    }

    fn save_none(conversations: &Conversations) {
        let none = Conversation::default();
        conversations.save(None, &none, &none).unwrap();
    }

    #[test]
    fn only_its_owner_may_read_it() {
        let state = tempfile::tempdir().unwrap();
        let conversations = Conversations::within(state.path());
        save_none(&conversations);
        let mode = |path: &str| {
            let metadata = fs::metadata(state.path().join(path)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("conversations"), 0o700);
        assert_eq!(mode("conversations/last.json"), 0o600);
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let state = tempfile::tempdir().unwrap();
        let conversations = Conversations::within(state.path());
        save_none(&conversations);
        let path = state.path().join("conversations/last.json");
        fs::write(&path, "{").unwrap();
        let error = conversations.load("last").unwrap_err().to_string();
        assert!(error.contains("last.json"), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), "{");
    }

    #[test]
    fn what_somebody_else_said_meanwhile_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let conversations = Conversations::within(state.path());
        let none = Conversation::default();
        let [mut ours, mut theirs] = [none.clone(), none.clone()];
        ours.add("a", "b");
        theirs.add("c", "d");
        let save = |said: &Conversation, before: &Conversation| {
            conversations.save(Some("work"), said, before).unwrap()
        };
        assert_eq!(save(&theirs, &none), None);
        assert_eq!(save(&ours, &none), Some("work-2".to_owned()));
        assert_eq!(conversations.load("work").unwrap(), theirs);
        assert_eq!(conversations.load("work-2").unwrap(), ours);
        assert_eq!(save(&ours, &theirs), None);
    }

    #[test]
    fn names_are_plain() {
        for name in ["work", "a-b_c.1", "9"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "a".repeat(65);
        for name in ["", ".hidden", "../up", "a/b", "a b", "\u{e9}", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
