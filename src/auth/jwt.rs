//! Verifies JSON Web Tokens (RFC 7519, RFC 8725): what the library leaves open is closed here.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jsonwebtoken::Header;

use super::claims::{Claims, REQUIRABLE};
use super::keys::{Key, KeySet, candidates};
use super::provider::Provider;
use super::{Algorithm, AuthError, KeyError, Principal};

/// No token is longer, in bytes. Checked before anything is decoded.
const MAX_TOKEN_BYTES: usize = 8192;

/// Which tokens are accepted.
#[derive(Debug, Clone, Default)]
pub struct JwtConfig {
    /// Accepted issuers; empty means any, or none.
    pub issuers: Vec<String>,
    /// Accepted audiences, of which a token must name one; empty means any, or none.
    pub audiences: Vec<String>,
    /// How far the clocks of issuer and server may be apart.
    pub leeway: Duration,
    /// Claims that a token must have beside `exp` and `sub`.
    pub required_claims: Vec<String>,
}

impl JwtConfig {
    /// Checks that each required claim is one that can be demanded.
    ///
    /// # Errors
    /// Names the one that is not.
    pub fn validate(&self) -> Result<(), KeyError> {
        match self
            .required_claims
            .iter()
            .find(|claim| !REQUIRABLE.contains(&claim.as_str()))
        {
            None => Ok(()),
            Some(claim) => Err(KeyError::Claim(claim.clone())),
        }
    }
}

/// Verifies tokens against the keys that are accepted now. Looking them up takes no lock.
pub struct JwtVerifier {
    accepted: ArcSwap<Accepted>,
}

/// Which tokens are accepted, and the keys that they are verified with.
struct Accepted {
    config: JwtConfig,
    keys: KeySet,
    providers: Vec<TrustedProvider>,
}

/// A provider of keys, and whose tokens they may sign.
pub struct TrustedProvider {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The issuers that its keys sign for; if there are none, all that are accepted.
    pub issuers: Vec<String>,
}

impl JwtVerifier {
    /// A verifier with these keys.
    #[must_use]
    pub fn new(config: JwtConfig, keys: KeySet) -> Self {
        Self::with_providers(config, keys, Vec::new())
    }

    /// A verifier with these keys and those that these providers publish.
    #[must_use]
    pub fn with_providers(
        config: JwtConfig,
        keys: KeySet,
        providers: Vec<TrustedProvider>,
    ) -> Self {
        Self {
            accepted: ArcSwap::from_pointee(Accepted {
                config,
                keys,
                providers,
            }),
        }
    }

    /// Accepts these from now on, and nothing else.
    pub fn replace(&self, config: JwtConfig, keys: KeySet, providers: Vec<TrustedProvider>) {
        self.accepted.store(Arc::new(Accepted {
            config,
            keys,
            providers,
        }));
    }

    /// The providers of keys, which go on with what they have if they are accepted again.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<Provider>> {
        let accepted = self.accepted.load();
        let providers = accepted.providers.iter();
        providers.map(|it| Arc::clone(&it.provider)).collect()
    }

    /// Whether there has been any key yet: a server that starts while its provider is away has none. One
    /// whose keys have become too old, or were withdrawn, is as ready as it can be: others are no better.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        let accepted = self.accepted.load();
        !accepted.keys.keys.is_empty() || {
            let mut providers = accepted.providers.iter();
            providers.any(|it| it.provider.has_had_keys())
        }
    }

    /// Verifies a token now, with the keys that are at hand.
    ///
    /// # Errors
    /// Says what is wrong with it; [`AuthError::UnknownKey`] if it is worth asking for its key.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        self.verify_at(token, now())
    }

    /// Verifies a token at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_at(&self, token: &str, now: u64) -> Result<Principal, AuthError> {
        self.accepted.load().verify_at(token, now)
    }

    /// Verifies a token after the providers have been asked for keys, as far as they have not just
    /// been asked: for tokens whose key is unknown.
    ///
    /// # Errors
    /// Says what is wrong with it; [`AuthError::KeysUnavailable`] if that cannot be told.
    pub async fn verify_after_asking(&self, token: &str) -> Result<Principal, AuthError> {
        let accepted = self.accepted.load_full();
        let providers = accepted.providers.iter();
        let mut answers: FuturesUnordered<_> = providers.map(|it| it.provider.ask()).collect();
        let mut are_all_here = true;
        // Whose key is there does not wait for the slowest of them.
        while let Some(is_here) = answers.next().await {
            are_all_here &= is_here;
            match accepted.verify_at(token, now()) {
                Err(AuthError::UnknownKey) => {}
                verified => return verified,
            }
        }
        Err(if are_all_here {
            AuthError::Invalid
        } else {
            AuthError::KeysUnavailable
        })
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

impl Accepted {
    fn verify_at(&self, token: &str, now: u64) -> Result<Principal, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        check_header(&header)?;
        // The library verifies the signature, with the one algorithm that the key is for; the claims
        // are checked by [`Claims::check`], all of them and strictly.
        let (text, signature) = token.rsplit_once('.').ok_or(AuthError::Invalid)?;
        let mut signers = self.signers(&header, text, signature);
        let Some(first) = signers.next() else {
            return Err(if self.may_be_published(&header) {
                AuthError::UnknownKey
            } else {
                AuthError::Invalid
            });
        };
        let (_, claims) = text.rsplit_once('.').ok_or(AuthError::Invalid)?;
        let claims = URL_SAFE_NO_PAD.decode(claims);
        let claims = claims.map_err(|_| AuthError::Invalid)?;
        // To serde a list of claims in their order would be as good as an object.
        if !claims.trim_ascii_start().starts_with(b"{") {
            return Err(AuthError::Invalid);
        }
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| AuthError::Invalid)?;
        let principal = claims.check(&self.config, now)?;
        let issuer = &*principal.owner.issuer;
        let may_sign = |issuers: &[String]| {
            issuers.is_empty() || issuers.iter().any(|accepted| accepted == issuer)
        };
        // A key may be there twice, for different issuers.
        if may_sign(first) || signers.any(may_sign) {
            Ok(principal)
        } else if issuer.is_empty() {
            Err(AuthError::Claim("iss"))
        } else {
            Err(AuthError::ClaimRefused("iss"))
        }
    }

    /// For each key at hand that has signed this text, the issuers that it signs for.
    fn signers<'a>(
        &'a self,
        header: &'a Header,
        text: &'a str,
        signature: &'a str,
    ) -> impl Iterator<Item = &'a [String]> {
        let id = header.kid.as_deref();
        let has_signed = |key: &Key| key.has_signed(text.as_bytes(), signature);
        let own = candidates(&self.keys.keys, id, header.alg)
            .filter(move |key| has_signed(key))
            .map(Key::issuers);
        let published = self.providers.iter().filter(move |it| {
            let any = |keys: &[Key]| candidates(keys, id, header.alg).any(has_signed);
            it.provider.with_keys(any)
        });
        own.chain(published.map(|it| it.issuers.as_slice()))
    }

    fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.iter().map(|it| &*it.provider)
    }

    /// Whether the key of a token that no key at hand has signed may be one that a provider has
    /// published meanwhile. A key that is known under this name is the one that was meant.
    fn may_be_published(&self, header: &Header) -> bool {
        if Algorithm::asymmetric(header.alg).is_none() {
            return false;
        }
        let is_named = |keys: &[Key]| {
            let id = header.kid.as_deref();
            id.is_some_and(|id| keys.iter().any(|key| key.is_named(id)))
        };
        let is_known =
            is_named(&self.keys.keys) || self.providers().any(|it| it.with_keys(is_named));
        if header.kid.is_some() {
            return !is_known && !self.providers.is_empty();
        }
        let is_for = |keys: &[Key]| keys.iter().any(|key| key.is_for(header.alg));
        self.providers().any(|it| !it.with_keys(is_for))
    }
}

fn check_header(header: &Header) -> Result<(), AuthError> {
    if let Some(kind) = &header.typ {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        if !matches!(kind, "jwt" | "at+jwt") {
            return Err(AuthError::UnsupportedHeader("typ"));
        }
    }
    // RFC 7515, section 4.1.11: what is critical and not understood makes the token invalid.
    if header.crit.is_some() {
        return Err(AuthError::UnsupportedHeader("crit"));
    }
    if header.extras.inner().contains_key("b64") {
        return Err(AuthError::UnsupportedHeader("b64"));
    }
    if header.enc.is_some() || header.zip.is_some() {
        return Err(AuthError::UnsupportedHeader("enc"));
    }
    // `jwk`, `jku`, `x5u` and `x5c` are never looked at: a token does not bring its own key.
    Ok(())
}

#[cfg(test)]
mod tests;
