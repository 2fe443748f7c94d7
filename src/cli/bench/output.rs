//! Where reports go: to files and to standard output.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::json::Document;

/// Makes a report.
pub(super) type Text = fn(&Document<'_>) -> anyhow::Result<String>;

/// A report, and where it goes.
pub(super) struct Output {
    /// Standard output if there is none.
    file: Option<File>,
    text: Text,
}

/// What a report is written to.
struct File {
    path: PathBuf,
    open: std::fs::File,
    /// It takes the place of the earlier report once it is whole. What is no file, such as a pipe, has none.
    beside: Option<PathBuf>,
}

impl File {
    fn create(path: &Path) -> io::Result<Self> {
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let open = std::fs::OpenOptions::new().write(true).open(path)?;
            return Ok(Self {
                path: path.to_owned(),
                open,
                beside: None,
            });
        }
        // A link stays one.
        let path = path.canonicalize().unwrap_or_else(|_new| path.to_owned());
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        Ok(Self {
            open: std::fs::File::create(&beside)?,
            path,
            beside: Some(beside),
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.open.write_all(text.as_bytes())?;
        match self.beside.take() {
            Some(beside) => std::fs::rename(beside, &self.path),
            None => Ok(()),
        }
    }
}

/// Nothing came of it: an earlier report stays as it is.
impl Drop for File {
    fn drop(&mut self) {
        if let Some(beside) = self.beside.take() {
            let _gone = std::fs::remove_file(beside);
        }
    }
}

impl Output {
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path, text: Text) -> anyhow::Result<Self> {
        let file = if path == Path::new("-") {
            None
        } else {
            let file = File::create(path);
            Some(file.with_context(|| format!("cannot write {}", path.display()))?)
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
        let Some(file) = &mut self.file else {
            // Whoever does not read it does not want it.
            let _closed = std::io::stdout().write_all(text.as_bytes());
            return Ok(());
        };
        let written = file.write(&text);
        written.with_context(|| format!("cannot write {}", file.path.display()))
    }
}
