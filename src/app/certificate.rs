//! The certificate that the server shows, which may be replaced while it serves.

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificate that the next connection is shown. Those that are open go on with theirs.
#[derive(Debug)]
pub(super) struct Certificate {
    shown: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// A certificate chain and its key, in PEM.
    ///
    /// # Errors
    /// They are not, or do not belong together.
    pub(super) fn new(chain: &[u8], key: &[u8]) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .context("`tls.certificate`: expected certificates in PEM")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .context("`tls.private_key`: expected a private key in PEM")?;
        let shown = CertifiedKey::from_der(chain, key, &provider())
            .context("`tls`: the private key does not belong to the certificate")?;
        Ok(Self {
            shown: ArcSwap::from_pointee(shown),
        })
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
