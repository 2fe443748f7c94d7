//! Who calls: from a credential's text to a [`Principal`] or a [`Viewer`].
//!
//! Knows tokens, keys and claims. Where a credential stood in a request is the API's business.

#[cfg(any(test, fuzzing))]
pub mod any_token;
mod claims;
mod jwt;
mod keys;
mod mint;
mod provider;
#[cfg(test)]
mod test_keys;
mod ticket;

pub use jwt::{JwtConfig, JwtVerifier, TrustedProvider};
pub use keys::{Algorithm, KeyConfig, KeyError, KeyMaterial, KeySet};
pub use mint::{MintError, Minter, TokenRequest, mint};
pub use provider::{Provider, ProviderConfig, ProviderFigures, ProviderTimes};
pub use ticket::{Ticket, TicketKey};

use crate::stream::{Owner, StreamId};

/// An authenticated caller. Only this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    owner: Owner,
    scopes: Vec<String>,
    /// The plan that the token names.
    pub plan: Option<String>,
}

impl Principal {
    /// A caller whose request was admitted by another process, as far as limits go: without scopes.
    #[must_use]
    pub const fn admitted_before(owner: Owner, plan: Option<String>) -> Self {
        Self {
            owner,
            scopes: Vec::new(),
            plan,
        }
    }

    /// Whom the streams of this caller belong to.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether the token carries this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }

    /// This caller as a reader of their own streams.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        Viewer {
            owner: self.owner.clone(),
            only: None,
        }
    }

    /// A caller for unit tests of other modules.
    #[cfg(test)]
    #[must_use]
    pub fn for_tests(subject: &str) -> Self {
        Self {
            owner: Owner {
                issuer: "tests".into(),
                subject: subject.into(),
            },
            scopes: Vec::new(),
            plan: None,
        }
    }
}

/// Somebody who may read an owner's streams: the owner, or the holder of a ticket for one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    owner: Owner,
    only: Option<StreamId>,
}

impl Viewer {
    /// Whose streams these are.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether this stream is among those that may be read, as far as the credential goes.
    #[must_use]
    pub fn may_read(&self, stream: StreamId) -> bool {
        self.only.is_none_or(|only| only == stream)
    }
}

/// A credential that is not accepted. The text is for the caller: it says what is wrong with the
/// token and nothing about the keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not a token we can read, or not signed by a key we know.
    #[error("the token is malformed or not signed by a known key")]
    Invalid,
    /// The same, but a provider may have published its key since it was asked last.
    #[error("the token is malformed or not signed by a known key")]
    UnknownKey,
    /// It may be signed by a key of a provider that cannot be asked just now.
    #[error("the keys of the token's issuer cannot be had just now")]
    KeysUnavailable,
    /// Larger than any token we would accept.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// Its header asks for something we do not do.
    #[error("the token's header has a `{0}` that is not supported")]
    UnsupportedHeader(&'static str),
    /// A claim is missing or not of the right type.
    #[error("the token's claim `{0}` is missing or malformed")]
    Claim(&'static str),
    /// A claim is not what is demanded.
    #[error("the token's claim `{0}` is not accepted here")]
    ClaimRefused(&'static str),
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// It will be valid later.
    #[error("the token is not valid yet")]
    NotYet,
}
