//! The key of a server that was given none: made once, kept for `tailrace token`, good for
//! development only.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::{Algorithm, KeyConfig, KeyMaterial};

/// 32 bytes that nobody can guess.
pub(super) fn random_secret() -> Vec<u8> {
    rand::random::<[u8; 32]>().to_vec()
}

/// The development key: the one that was kept, or a new one.
pub(super) fn key() -> io::Result<KeyConfig> {
    let secret = match key_file() {
        // Without a home directory the key lives as long as the process.
        None => random_secret(),
        Some(path) => match std::fs::read(&path) {
            Ok(secret) if secret.trim_ascii().len() >= 32 => secret.trim_ascii().to_vec(),
            Ok(_) => {
                return Err(io::Error::other(format!(
                    "{} is damaged; delete it",
                    path.display()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path)?,
            Err(error) => return Err(error),
        },
    };
    Ok(KeyConfig {
        id: Some("development".to_owned()),
        algorithm: Some(Algorithm::HS256),
        material: KeyMaterial::Secret(secret),
        issuers: Vec::new(),
        signing_pem: None,
    })
}

/// `$XDG_STATE_HOME/tailrace` (XDG base directory specification). There is none without a home.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    let directory = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = directory("XDG_STATE_HOME")
        .or_else(|| directory("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("tailrace"))
}

fn key_file() -> Option<PathBuf> {
    Some(state_directory()?.join("development.key"))
}

fn create(path: &PathBuf) -> io::Result<Vec<u8>> {
    let secret = URL_SAFE_NO_PAD.encode(random_secret()).into_bytes();
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    // Made under another name first: a second process never reads half a key.
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?
        .write_all(&secret)?;
    match std::fs::hard_link(&draft, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    std::fs::remove_file(&draft)?;
    // Whoever came first has made the key.
    Ok(std::fs::read(path)?.trim_ascii().to_vec())
}
