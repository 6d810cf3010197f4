//! Authorities and certificates that are made for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boltgrid_metering::drivers::TlsConfig;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// Who signs certificates.
pub(crate) struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

/// A certificate with its key.
pub(crate) struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    pub(crate) fn signs(&self, name: &str) -> Identity {
        self.signs_for(name, (2000, 2100))
    }

    /// From the beginning of a year until that of another one.
    pub(crate) fn signs_for(&self, name: &str, (from, until): (i32, i32)) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        // Who is called as its authority is would vouch for itself.
        params.distinguished_name = called(name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        Identity { certificate, key }
    }

    /// What makes a node trust it.
    pub(crate) fn trusted(&self, folder: &Path) -> TlsConfig {
        let file = folder.join("ca.pem");
        std::fs::write(&file, self.certificate.pem()).unwrap();
        TlsConfig { ca_file: Some(file), ..TlsConfig::default() }
    }
}

impl Identity {
    /// A certificate that nobody else vouches for, of a device whose clock never ran.
    pub(crate) fn of_a_device() -> Self {
        let mut params = CertificateParams::new(vec!["device".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2010, 1, 1);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    /// Its SHA-256, by another library than the driver's own way to it.
    pub(crate) fn sha256(&self) -> String {
        let digest = Sha256::digest(self.certificate.der());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn pinned(&self) -> TlsConfig {
        let pin = Some(self.sha256().parse().unwrap());
        TlsConfig { certificate_sha256: pin, ..TlsConfig::default() }
    }

    /// Certificate and key in files.
    pub(crate) fn files(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let [certificate, key] = ["pem", "key"].map(|kind| folder.join(format!("{name}.{kind}")));
        std::fs::write(&certificate, self.certificate.pem()).unwrap();
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        (certificate, key)
    }

    /// A server with this certificate, which asks its clients for one of `clients`, if there is one.
    pub(crate) fn serves(&self, clients: Option<&Authority>) -> TlsAcceptor {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let chain = vec![self.certificate.der().clone()];
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }

    /// A server that shows this certificate, speaks this version of TLS, and signs with the key of
    /// another one.
    pub(crate) fn stolen_by(
        &self,
        thief: &Self,
        version: &'static SupportedProtocolVersion,
    ) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(thief.key.serialize_der()).unwrap();
        let key = any_supported_type(&key).unwrap();
        let shown = CertifiedKey::new(vec![self.certificate.der().clone()], key);
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        TlsAcceptor::from(Arc::new(config))
    }
}
