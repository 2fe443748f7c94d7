//! The certificate that the server shows, which may be replaced while it serves.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};

use crate::config::{Config, ConfigError};

/// The certificate that the next connection is shown. Those that are open go on with theirs.
#[derive(Debug)]
pub(super) struct Certificate {
    shown: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// The configured certificate chain with its key, if there is TLS.
    ///
    /// # Errors
    /// They are not in PEM, or do not belong together.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some((chain, key)) = &config.tls else {
            return Ok(None);
        };
        let wrong = |key: &str, expected: &str, why: &dyn std::fmt::Display| {
            config.origin.wrong(key, format!("{expected}: {why}"))
        };
        let no_chain = |why: &dyn std::fmt::Display| {
            wrong("tls.certificate", "expected certificates in PEM", why)
        };
        let no_key = |why: &dyn std::fmt::Display| {
            wrong("tls.private_key", "expected a private key in PEM", why)
        };
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| no_chain(&error))?;
        if chain.is_empty() {
            return Err(no_chain(&"there is none"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| no_key(&error))?;
        let shown =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
                Error::InconsistentKeys(_) => {
                    let expected = "the private key does not belong to the certificate";
                    wrong("tls", expected, &error)
                }
                Error::InvalidCertificate(_) => no_chain(&error),
                _ => no_key(&error),
            })?;
        Ok(Some(Self {
            shown: ArcSwap::from_pointee(shown),
        }))
    }

    /// Shows the same as another from now on.
    pub(super) fn replace(&self, other: &Self) {
        self.shown.store(other.shown.load_full());
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load_full())
    }
}

/// How the server speaks TLS.
pub(super) fn tls(certificate: Arc<Certificate>) -> anyhow::Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}
