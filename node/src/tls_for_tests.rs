//! A server over TLS that vouches for itself, as devices do and impostors would.
//!
//! Not for: authorities, which the tests of `metering` have.

use std::sync::Arc;

use boltgrid_metering::drivers::TlsConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1 that nobody else vouches for, with its key.
pub(crate) struct Itself(CertifiedKey);

impl Itself {
    pub(crate) fn new() -> Self {
        // As `main` does; another test may have been first.
        drop(default_provider().install_default());
        Self(generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap())
    }

    /// What makes a node take it for the right one, and nobody else.
    pub(crate) fn pinned(&self) -> TlsConfig {
        let digest = hex::encode(Sha256::digest(self.0.cert.der()));
        TlsConfig { certificate_sha256: Some(digest.parse().unwrap()), ..TlsConfig::default() }
    }

    pub(crate) fn serves(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.0.key_pair.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.0.cert.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}
