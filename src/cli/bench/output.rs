//! Where reports go: to files and to standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::json::Document;

/// Makes a report.
pub(super) type Text = fn(&Document<'_>) -> anyhow::Result<String>;

/// A report, and where it goes.
pub(super) struct Output {
    /// Standard output if there is none.
    file: Option<(PathBuf, std::fs::File)>,
    text: Text,
}

impl Output {
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path, text: Text) -> anyhow::Result<Self> {
        let file = if path == Path::new("-") {
            None
        } else {
            let file = std::fs::File::create(path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            Some((path.to_owned(), file))
        };
        Ok(Self { file, text })
    }

    /// Whether it goes to standard output.
    pub(super) const fn is_stdout(&self) -> bool {
        self.file.is_none()
    }

    /// Writes it.
    pub(super) fn write(&mut self, document: &Document<'_>) -> anyhow::Result<()> {
        let text = (self.text)(document)?;
        let Some((path, file)) = &mut self.file else {
            // Whoever does not read it does not want it.
            let _closed = std::io::stdout().write_all(text.as_bytes());
            return Ok(());
        };
        let written = file.write_all(text.as_bytes());
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}
