//! TLS towards devices and brokers: whom a node takes for the one that it means to speak to.
//!
//! A certificate counts if an authority vouches for it and for the name that was asked: one that browsers
//! know, or the owner's own. Or it is the one that the owner named by its SHA-256, whoever signed it,
//! whatever names and dates stand in it, as devices sign their certificates themselves. There is no way
//! to take any certificate.
//! Not for: the node's own port.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::bus::Endpoint;

/// The largest file with certificates or a key.
const PEM_MAX: u64 = 1_048_576;

/// Whom to take for the server, and who one is oneself. Where nothing is said, the authorities that
/// browsers know vouch for the server, and nobody for the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file with the authorities that count in place of those that browsers know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 of the only certificate that counts, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<Fingerprint>,
    /// A PEM file with the node's certificate, for servers that ask for one …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_file: Option<PathBuf>,
    /// … and one with its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// The same with relative paths taken from `folder`.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        let files =
            [&mut self.ca_file, &mut self.client_certificate_file, &mut self.client_key_file];
        for file in files.into_iter().flatten() {
            *file = folder.join(&*file);
        }
        self
    }
}

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// Text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no SHA-256: it has 64 hexadecimal digits, with or without colons, as \
     `openssl x509 -fingerprint -sha256` shows them"
)]
pub struct NotAFingerprint(String);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let refused = || NotAFingerprint(text.to_owned());
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Option<Vec<u8>> = text.chars().filter(|c| *c != ':').map(digit).collect();
        let digits = digits.ok_or_else(refused)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        let bytes = <[u8; 32]>::try_from(bytes).ok().filter(|_| rest.is_empty());
        bytes.map(Self).ok_or_else(refused)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NotAFingerprint;

    fn try_from(text: String) -> Result<Self, NotAFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Settings that make no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The address says that nothing is secret.
    #[error("`tls` is said of {0}, which is spoken to in the clear; write the address as {1}://…")]
    InTheClear(String, &'static str),
    /// Two ways to know the server.
    #[error("`ca_file` and `certificate_sha256` are both said, and only one of them can count")]
    TwoWays,
    /// A certificate without its key, or the other way round.
    #[error("`client_certificate_file` and `client_key_file` go together")]
    Half,
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("{path} must be a PEM file with {wanted}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wanted.
        wanted: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// What is in the files cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

/// Ready to speak TLS. Cheap to clone.
#[derive(Clone)]
pub(super) struct Secure {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl Secure {
    /// What an address and its settings come to; none where it is spoken to in the clear.
    pub(super) fn of<L: super::server::Language>(
        server: &super::Server<L>,
        tls: Option<&TlsConfig>,
    ) -> Result<Option<Self>, TlsError> {
        match (server.is_secure, tls) {
            (true, Some(tls)) => Self::new(tls).map(Some),
            (true, None) => Self::new(&TlsConfig::default()).map(Some),
            (false, Some(_)) => Err(TlsError::InTheClear(server.to_string(), L::SECURE.0)),
            (false, None) => Ok(None),
        }
    }

    /// Reads the files.
    fn new(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = Judge::new(config, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge));
        let config = match (&config.client_certificate_file, &config.client_key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let source = |source| pem_error(key, "a private key", source);
                let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(source)?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Unusable)?
            }
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::Half),
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// Shakes hands.
    pub(super) async fn shake(
        &self,
        place: &Endpoint,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(place.host.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await.map_err(|error| {
            // The library calls what `Judge` says of a stranger an unexpected error.
            let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match refused {
                Some(rustls::Error::General(why)) => {
                    io::Error::new(io::ErrorKind::InvalidData, why.clone())
                }
                Some(_) | None => error,
            }
        })
    }
}

/// Says whose certificate counts.
#[derive(Debug)]
struct Judge {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Trust {
    Pinned(Fingerprint),
    Roots(Arc<WebPkiServerVerifier>),
}

impl Judge {
    fn new(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let trust = match (&config.ca_file, config.certificate_sha256) {
            (Some(_), Some(_)) => return Err(TlsError::TwoWays),
            (None, Some(fingerprint)) => Some(Trust::Pinned(fingerprint)),
            (Some(file), None) => {
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(TlsError::Unusable)?;
                }
                None
            }
            (None, None) => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                None
            }
        };
        let trust = match trust {
            Some(pinned) => pinned,
            None => {
                let provider = Arc::clone(provider);
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let unusable =
                    |error| TlsError::Unusable(rustls::Error::General(format!("{error}")));
                Trust::Roots(verifier.map_err(unusable)?)
            }
        };
        Ok(Self { trust, algorithms: provider.signature_verification_algorithms })
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        match &self.trust {
            Trust::Pinned(pinned) if *pinned == shown => Ok(ServerCertVerified::assertion()),
            Trust::Pinned(_) => Err(rustls::Error::General(format!(
                "its certificate is not the one of `certificate_sha256`, but has the SHA-256 {shown}"
            ))),
            Trust::Roots(roots) => roots
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| {
                    rustls::Error::General(format!(
                        "{error}; if it is yours, name it by `certificate_sha256 = \"{shown}\"`"
                    ))
                }),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| pem_error(path, "certificates", source);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(failed)?;
    if found.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn pem_error(path: &Path, wanted: &'static str, source: pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), wanted, source }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    if fs::metadata(path).map_err(file)?.len() > PEM_MAX {
        let why = format!("it is larger than {PEM_MAX} bytes");
        return Err(file(io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    fs::read(path).map_err(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_written_as_tools_show_them() {
        let plain = "0123456789abcdef".repeat(4);
        let fingerprint: Fingerprint = plain.parse().unwrap();
        assert_eq!(fingerprint.to_string(), plain);
        let pairs: Vec<String> = plain
            .as_bytes()
            .chunks(2)
            .map(|it| String::from_utf8_lossy(it).to_uppercase())
            .collect();
        assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
        for text in
            ["", &plain[1..], &format!("{plain}0"), &format!("{plain}00"), &plain.replace('0', "g")]
        {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn settings_that_make_no_tls_are_named() {
        let refused = |address: &str, config: &TlsConfig, why: &str| {
            let server: crate::drivers::HttpServer = address.parse().unwrap();
            let error = Secure::of(&server, Some(config)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        let nothing = TlsConfig::default();
        refused("meter", &nothing, "https://");
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "nothing").unwrap();
        let ca = TlsConfig { ca_file: Some(empty.clone()), ..nothing.clone() };
        refused("https://meter", &ca, "must be a PEM file with certificates");
        let missing = TlsConfig { ca_file: Some(folder.path().join("none")), ..nothing.clone() };
        refused("https://meter", &missing, "none cannot be read");
        let pinned = Some("00".repeat(32).parse().unwrap());
        refused("https://meter", &TlsConfig { certificate_sha256: pinned, ..ca }, "only one");
        let half = TlsConfig { client_key_file: Some(empty), ..nothing };
        refused("https://meter", &half, "go together");
    }
}
