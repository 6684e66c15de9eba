//! A server that speaks TLS with a certificate which nobody but its own authority vouches for.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Made for this test, and valid from 2020 to 2120. The authority's private key was thrown away.
pub(super) const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBZDCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXN0IGF1
dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOdGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATf
WvzJ86l+MIzrbZlsErlWDCB84hsYNdydt8qd7OFZbBohyWRACVvH/IJphvu19Xvu
ricnIIb3B8h1ph04UnQVo0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQE
AwICBDAdBgNVHQ4EFgQUtKbSL15NBD32iDzktC1jKkrMiIgwCgYIKoZIzj0EAwID
RwAwRAIgeMbuQ8TQ7PQMUQkFkAkUQv61kcLXj6JD0FLnXBuV5OkCIFgMLN1oyh9J
I/uosqtx9vJbyDKy9N40jrzXWBbWzXxR
-----END CERTIFICATE-----";
const LOCALHOST: &str = "-----BEGIN CERTIFICATE-----
MIIBqzCCAVGgAwIBAgIBAjAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXN0IGF1
dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAG
A1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEbdb3zQnv
CDMdOVux8oxTJAODVuW7BAWpG+YxYEkbeHDbxVWIroBIKwxd4frmJwxkEqiSFUH+
5JfVx2R1Z/K4FKOBjDCBiTAUBgNVHREEDTALgglsb2NhbGhvc3QwDAYDVR0TAQH/
BAIwADAOBgNVHQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0O
BBYEFPLcGym0Zsns1sGeEJkRN7f1SlP9MB8GA1UdIwQYMBaAFLSm0i9eTQQ99og8
5LQtYypKzIiIMAoGCCqGSM49BAMCA0gAMEUCIQCZof6k4sCAGl8jWrOGXPGjZISx
P8YkippPRLtGnY7enAIgY4krMs2vqlo3yO9xdGnUhUAaCnUsTF1OECJzWj7Z3DY=
-----END CERTIFICATE-----";
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggizjAD+iwzg8IQPN
Ss2vj/LHHq9+HBZ5HlmUb4qDPa6hRANCAARt1vfNCe8IMx05W7HyjFMkA4NW5bsE
Bakb5jFgSRt4cNvFVYiugEgrDF3h+uYnDGQSqJIVQf7kl9XHZHVn8rgU
-----END PRIVATE KEY-----";

/// Answers every request with this JSON, for as long as the process lives. The address of a document on it.
pub(crate) fn serve(json: &str) -> String {
    let url = serve_from(|_| json.to_owned());
    format!("{url}/jwks")
}

/// The same with a JSON that depends on the server's own address, which is returned.
pub(super) fn serve_from(json: impl FnOnce(&str) -> String) -> String {
    let certificate = CertificateDer::from_pem_slice(LOCALHOST.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PRIVATE.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("https://localhost:{port}");
    let json = json(&url);
    let length = json.len();
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{json}"
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            // A client that does not trust the certificate hangs up here.
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let stream = stream.get_mut();
            let _ = stream.write_all(reply.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}
