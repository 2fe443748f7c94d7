//! The keys of `[[auth.keys]]`: those that stand in variables and files are read, and providers that
//! publish theirs are known, not asked.

use super::Loader;
use crate::auth::{
    Algorithm, KeyConfig, KeyError, KeyMaterial, KeySet, ProviderConfig, ProviderTimes,
};
use crate::config::file::{AuthSection, JwksSection, KeyEntry};
use crate::config::{ConfigError, development};
use crate::http_client::{BaseUrl, Headers, HttpClientConfig, authority_roots};

impl Loader {
    /// The keys that are here, and the providers of others.
    pub(super) fn keys(
        &self,
        auth: &AuthSection,
    ) -> Result<(Vec<KeyConfig>, Vec<ProviderConfig>), ConfigError> {
        self.issuers(auth)?;
        let (mut keys, mut providers) = (Vec::new(), Vec::new());
        for (at, entry) in auth.keys.iter().enumerate() {
            let path = format!("auth.keys[{at}]");
            match &entry.jwks_url {
                None => {
                    let key = self.key(&path, entry)?;
                    self.is_usable(&path, &key)?;
                    keys.push(key);
                }
                Some(url) => providers.push(self.provider(&path, url, entry, &auth.jwks)?),
            }
        }
        if !keys.is_empty() {
            KeySet::load(&keys).map_err(|error| self.wrong("auth.keys", error.to_string()))?;
        }
        Ok((keys, providers))
    }

    /// Whether a key is one by itself. What is wrong is said of its entry, by which one without a name is found.
    fn is_usable(&self, path: &str, key: &KeyConfig) -> Result<(), ConfigError> {
        match KeySet::load(std::slice::from_ref(key)) {
            // A set without a key for signatures may stand beside others.
            Ok(_) | Err(KeyError::None) => Ok(()),
            Err(error) => {
                let said = error.to_string();
                Err(self.wrong(path, said.strip_prefix("key #1: ").unwrap_or(&said)))
            }
        }
    }

    /// Whose tokens the keys may sign. Where tokens of several issuers are accepted and strangers publish
    /// keys, each of them has to be told from the others: the issuer is half of a caller's name.
    fn issuers(&self, auth: &AuthSection) -> Result<(), ConfigError> {
        let published = auth.keys.iter().filter(|it| it.jwks_url.is_some()).count();
        let are_several = match auth.issuers.len() {
            0 => published > 1,
            1 => false,
            _ => auth.keys.len() > 1,
        };
        for (at, entry) in auth.keys.iter().enumerate() {
            let key = format!("auth.keys[{at}].issuer");
            let issuers = entry.issuer.as_slice();
            if issuers.iter().any(String::is_empty) {
                return Err(self.wrong(key, "expected an issuer, as tokens have it in `iss`"));
            }
            let is_accepted = |one: &String| auth.issuers.is_empty() || auth.issuers.contains(one);
            if let Some(other) = issuers.iter().find(|one| !is_accepted(one)) {
                return Err(self.wrong(key, format!("{other:?} is none of auth.issuers")));
            }
            if are_several && entry.jwks_url.is_some() && issuers.is_empty() {
                return Err(self.wrong(
                    key,
                    "expected whose tokens this provider signs: beside others, it could else sign \
                     for all of them",
                ));
            }
        }
        Ok(())
    }

    /// The key of a server that was given none.
    pub(super) fn development_key(&self) -> Result<KeyConfig, ConfigError> {
        development::key().map_err(|error| {
            self.wrong(
                "auth.keys",
                format!("no key is configured, and none could be made: {error}"),
            )
        })
    }

    fn provider(
        &self,
        path: &str,
        url: &str,
        entry: &KeyEntry,
        jwks: &JwksSection,
    ) -> Result<ProviderConfig, ConfigError> {
        let others = [
            ("id", entry.id.is_some()),
            ("secret", entry.secret.is_some()),
            ("secret_env", entry.secret_env.is_some()),
            ("secret_file", entry.secret_file.is_some()),
            ("public_key_file", entry.public_key_file.is_some()),
            ("jwks_file", entry.jwks_file.is_some()),
            ("private_key_file", entry.private_key_file.is_some()),
        ];
        if let Some((other, _)) = others.into_iter().find(|(_, is_said)| *is_said) {
            return Err(self.wrong(
                format!("{path}.{other}"),
                "expected none beside jwks_url: the keys that are published say what they are",
            ));
        }
        if entry.algorithm.is_some_and(Algorithm::is_symmetric) {
            return Err(self.wrong(
                format!("{path}.algorithm"),
                "expected one of RS256, RS384, RS512, PS256, ES256, ES384, EdDSA: secrets are not \
                 published",
            ));
        }
        let (server, target) = BaseUrl::split(url)
            .map_err(|expected| self.wrong(format!("{path}.jwks_url"), expected))?;
        let authority = match &entry.jwks_ca {
            None => None,
            Some(file) => {
                let key = format!("{path}.jwks_ca");
                let pem = self.read(&key, file)?;
                authority_roots(&pem)
                    .map_err(|_| self.wrong(key, "expected certificates in PEM"))?;
                Some(pem)
            }
        };
        Ok(ProviderConfig {
            server: HttpClientConfig {
                url: server,
                headers: Headers::default(),
                connect_timeout: jwks.timeout,
            },
            path: target,
            authority,
            algorithm: entry.algorithm.unwrap_or(Algorithm::RS256),
            times: ProviderTimes {
                timeout: jwks.timeout,
                cool_down: jwks.cool_down,
                refresh_min: jwks.refresh_min,
                refresh_max: jwks.refresh_max,
                keep: jwks.keep,
            },
            issuers: entry.issuer.as_slice().to_vec(),
        })
    }

    fn key(&self, path: &str, entry: &KeyEntry) -> Result<KeyConfig, ConfigError> {
        let trimmed = |bytes: &[u8]| bytes.trim_ascii_end().to_vec();
        let mut found = Vec::new();
        if let Some(secret) = &entry.secret {
            found.push(KeyMaterial::Secret(secret.as_bytes().to_vec()));
        }
        if let Some(name) = &entry.secret_env {
            let secret = self.variable(&format!("{path}.secret_env"), name)?;
            found.push(KeyMaterial::Secret(secret.into_bytes()));
        }
        if let Some(file) = &entry.secret_file {
            let secret = self.read(&format!("{path}.secret_file"), file)?;
            found.push(KeyMaterial::Secret(trimmed(&secret)));
        }
        if let Some(file) = &entry.public_key_file {
            found.push(KeyMaterial::Pem(
                self.read_text(&format!("{path}.public_key_file"), file)?,
            ));
        }
        if let Some(file) = &entry.jwks_file {
            found.push(KeyMaterial::Jwks(
                self.read_text(&format!("{path}.jwks_file"), file)?,
            ));
        }
        if entry.jwks_ca.is_some() {
            return Err(self.wrong(format!("{path}.jwks_ca"), "expected none without jwks_url"));
        }
        let signing_pem = match &entry.private_key_file {
            None => None,
            Some(file) => Some(self.read_text(&format!("{path}.private_key_file"), file)?),
        };
        match (found.pop(), found.is_empty()) {
            (Some(material), true) => Ok(KeyConfig {
                id: entry.id.clone(),
                algorithm: entry.algorithm,
                material,
                issuers: entry.issuer.as_slice().to_vec(),
                signing_pem,
            }),
            _ => Err(self.wrong(
                path,
                "expected exactly one of secret, secret_env, secret_file, public_key_file, \
                 jwks_file and jwks_url",
            )),
        }
    }
}
