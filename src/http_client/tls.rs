//! Whom a server's certificate must be signed by: whom the operating system trusts.

use std::sync::Arc;

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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
