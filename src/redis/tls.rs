//! Whom we trust as Redis, and who we are to it.

use std::sync::Arc;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::RedisSetupError;

/// What is known beside what every TLS client knows; all of it in PEM.
#[derive(Clone, Default)]
pub struct TlsConfig {
    /// The authorities that are trusted in place of the system's.
    pub authority: Option<Vec<u8>>,
    /// Our certificate chain and its private key.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsConfig {
    pub(super) fn certificates(&self) -> TlsCertificates {
        let client_tls = self.certificate.as_ref();
        TlsCertificates {
            client_tls: client_tls.map(|(certificate, key)| ClientTlsConfig {
                client_cert: certificate.clone(),
                client_key: key.clone(),
            }),
            root_cert: self.authority.clone(),
        }
    }

    pub(super) fn check(&self) -> Result<(), RedisSetupError> {
        let mut roots = RootCertStore::empty();
        if let Some(authority) = &self.authority {
            for certificate in chain(authority).ok_or(RedisSetupError::Authority)? {
                let added = roots.add(certificate);
                added.map_err(|_| RedisSetupError::Authority)?;
            }
        }
        if let Some((certificate, key)) = &self.certificate {
            let chain = chain(certificate).ok_or(RedisSetupError::Certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key);
            let key = key.map_err(|_| RedisSetupError::Certificate)?;
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider);
            let config = config.with_safe_default_protocol_versions();
            let config = config.map_err(|_| RedisSetupError::Certificate)?;
            let config = config.with_root_certificates(roots);
            let made = config.with_client_auth_cert(chain, key);
            made.map_err(|_| RedisSetupError::Certificate)?;
        }
        Ok(())
    }
}

/// The certificates, if they are some.
fn chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty())
}
