//! TLS of the server, from what the web settings file says. One provider, ring.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme, version,
};

use crate::web_file::{ClientAuth, TlsSettings, TlsVersion};

/// The contents of the files that TLS settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) ca: Vec<u8>,
}

/// What the server speaks, or why it cannot.
pub(crate) fn config(settings: &TlsSettings, files: &TlsFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(settings, files, &provider)?;
    let versions: Vec<_> =
        [(TlsVersion::Tls12, &version::TLS12), (TlsVersion::Tls13, &version::TLS13)]
            .into_iter()
            .filter(|(version, _)| (settings.min_version..=settings.max_version).contains(version))
            .map(|(_, version)| version)
            .collect();
    let certificates = certificates(&settings.cert_file, &files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key)
        .map_err(|_| format!("{} holds no private key in PEM", settings.key_file.display()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)
        .map_err(|error| {
            let (cert, key) = (settings.cert_file.display(), settings.key_file.display());
            format!("{cert} and {key} do not make a server: {error}")
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| format!("{} is damaged: {error}", path.display()))?;
    if all.is_empty() {
        return Err(format!("{} holds no certificate in PEM", path.display()));
    }
    Ok(all)
}

fn verifier(
    settings: &TlsSettings,
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let optional = match settings.client_auth_type {
        ClientAuth::None => return Ok(Arc::new(NoClientAuth)),
        ClientAuth::Request | ClientAuth::RequireAny => {
            return Ok(Arc::new(AnyCertificate {
                mandatory: settings.client_auth_type == ClientAuth::RequireAny,
                algorithms: provider.signature_verification_algorithms,
            }));
        }
        ClientAuth::VerifyIfGiven => true,
        ClientAuth::RequireAndVerify => false,
    };
    let path = settings.client_ca_file.as_deref().unwrap_or(Path::new(""));
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, &files.ca)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    let verifier = builder.build().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(verifier)
}

/// Takes every certificate whose key the client holds, as `RequestClientCert` and
/// `RequireAnyClientCert` say.
#[derive(Debug)]
struct AnyCertificate {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
