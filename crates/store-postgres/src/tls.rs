//! TLS with the certificates that the machine trusts.

use std::sync::{Arc, LazyLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The machine's certificates, read once.
static CONFIG: LazyLock<ClientConfig> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    // A certificate that can't be read trusts nobody: what is left decides.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(ring::default_provider());
    #[expect(
        clippy::expect_used,
        reason = "the provider has the protocols' defaults"
    )]
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3");
    builder.with_root_certificates(roots).with_no_client_auth()
});

pub(crate) fn connector() -> MakeRustlsConnect {
    MakeRustlsConnect::new(CONFIG.clone())
}
