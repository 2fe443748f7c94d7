//! Whom a server's certificate must be signed by: whom the operating system trusts, or an authority
//! that the operator names.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` as OpenSSL has them).
///
/// # Errors
/// The protocol versions are not possible, which cannot be.
pub fn system_roots() -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "Some of the system's certificates cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    trusting(roots)
}

/// Trusts these authorities, in PEM, and nobody else.
///
/// # Errors
/// They are none.
pub fn authority_roots(pem: &[u8]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let none = || rustls::Error::General("expected certificates in PEM".to_owned());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| none())?)?;
    }
    if roots.is_empty() {
        return Err(none());
    }
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
