//! The peers. Each is told the same ([`Terms`]), stands around the same [`Handler`], and is configured as its README says:
//! where a README leaves a choice, the fastest one.

mod aliri_tower;
mod axum_jwt_auth;
mod hand_written;
mod huskarl;
mod jwt_authorizer;
mod oauth_resource_server;
mod tower_oauth2;

use tower::Layer;
use tower_resource_server::{Algorithm, FixedKeys, Issuer, JwtLayer};

use crate::authority::{API, LOGIN, Terms};
use crate::service::{Guarded, Handler};

/// Somebody to be measured.
#[derive(Clone, Copy)]
pub struct Peer {
    pub name: &'static str,
    /// What is called, and whose cryptography it calls.
    pub how: &'static str,
    /// Whether jsonwebtoken is to use `RustCrypto`.
    pub rust_crypto: bool,
    build: fn(&Terms) -> Box<dyn Guarded>,
}

impl Peer {
    /// The peer as a service. `None`: it does not know the algorithm.
    pub fn service(&self, terms: &Terms) -> Option<Box<dyn Guarded>> {
        let known = self.name != "aliri_tower" || terms.algorithm != Algorithm::EdDsa;
        known.then(|| (self.build)(terms))
    }
}

/// No layer at all.
pub const NONE: Peer = Peer {
    name: "none",
    how: "the service alone",
    rust_crypto: false,
    build: |_| Box::new(Handler),
};

pub const PEERS: [Peer; 10] = [
    Peer {
        name: "tower-resource-server",
        how: "its layer; aws-lc-rs",
        rust_crypto: false,
        build: this_crate,
    },
    Peer {
        name: "hand-written",
        how: "a Tower service around jsonwebtoken 11, key and rules prepared once; aws-lc-rs",
        rust_crypto: false,
        build: hand_written::service,
    },
    Peer {
        name: "tower-oauth2-resource-server",
        how: "its layer, with its feature for aws-lc-rs",
        rust_crypto: false,
        build: tower_oauth2::service,
    },
    Peer {
        name: "tower-oauth2-resource-server-as-shipped",
        how: "its layer; RustCrypto, its default",
        rust_crypto: true,
        build: tower_oauth2::service,
    },
    Peer {
        name: "jwt-authorizer",
        how: "its layer; ring",
        rust_crypto: false,
        build: jwt_authorizer::service,
    },
    Peer {
        name: "axum-jwt-auth",
        how: "its extractor, by axum's from_extractor_with_state; jsonwebtoken told to use aws-lc-rs",
        rust_crypto: false,
        build: axum_jwt_auth::service,
    },
    Peer {
        name: "axum-jwt-auth-as-shipped",
        how: "its extractor, by axum's from_extractor_with_state; RustCrypto, its only choice of itself",
        rust_crypto: true,
        build: axum_jwt_auth::service,
    },
    Peer {
        name: "aliri_tower",
        how: "its layer; ring; no EdDSA",
        rust_crypto: false,
        build: aliri_tower::service,
    },
    Peer {
        name: "huskarl-resource-server",
        how: "its validator, called by a thin Tower service: it has none; RustCrypto, its only choice",
        rust_crypto: false,
        build: huskarl::service,
    },
    Peer {
        name: "oauth-resource-server",
        how: "its layer; ring",
        rust_crypto: false,
        build: oauth_resource_server::service,
    },
];

fn this_crate(terms: &Terms) -> Box<dyn Guarded> {
    let issuer = Issuer::builder(LOGIN)
        .audience(API)
        .algorithms([terms.algorithm])
        .keys(FixedKeys::jwks(&terms.jwks).expect("a key set"))
        .build()
        .expect("a configuration without a mistake");
    Box::new(JwtLayer::new(issuer).layer(Handler))
}
