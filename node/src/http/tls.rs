//! The certificate that the owner brings for the port.
//! Not for: getting one, or renewing it: whoever does restarts the node.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The chain of certificates as PEM, the node's first.
    pub certificate_file: PathBuf,
    /// Its private key as PEM.
    pub key_file: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or holds no PEM.
    #[error("`rpc.{key}` names {path}, which cannot be read: {source}")]
    File {
        /// The key of the config.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The two don't belong together, or are of a kind that is not spoken.
    #[error("the certificate of `rpc.tls_certificate_file` cannot be used with its key: {0}")]
    Pair(#[source] rustls::Error),
}

/// Takes TLS connections.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

impl Tls {
    /// Reads the files.
    pub(super) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let file = |key, path: &PathBuf| {
            let path = path.clone();
            move |source| TlsError::File { key, path, source }
        };
        let not_read = file("tls_certificate_file", &config.certificate_file);
        let chain = CertificateDer::pem_file_iter(&config.certificate_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(not_read)?;
        let key = PrivateKeyDer::from_pem_file(&config.key_file)
            .map_err(file("tls_key_file", &config.key_file))?;
        let mut server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(server))))
    }

    /// Shakes hands.
    pub(super) async fn accept(
        &self,
        stream: tokio::net::TcpStream,
    ) -> io::Result<tokio_rustls::server::TlsStream<tokio::net::TcpStream>> {
        self.0.accept(stream).await
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
