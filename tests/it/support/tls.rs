//! TLS in front of a counterpart, with a certificate of an authority of its own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Ends when dropped.
pub struct TlsFront {
    /// `https://localhost:<port>`
    pub url: String,
    /// The authority's certificate.
    pub ca: String,
    task: AbortHandle,
}

impl TlsFront {
    /// In front of `http://127.0.0.1:<port>`.
    pub async fn start(url: &str) -> Self {
        let behind = url.strip_prefix("http://").unwrap().to_owned();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let (key, names) = (KeyPair::generate().unwrap(), ["localhost".to_owned()]);
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let task = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), behind));
        Self { url, ca: authority.pem(), task: task.abort_handle() }
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((caller, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            // A caller who does not trust the certificate hangs up.
            let mut caller = acceptor.accept(caller).await?;
            let mut behind = TcpStream::connect(behind).await?;
            tokio::io::copy_bidirectional(&mut caller, &mut behind).await
        });
    }
}
