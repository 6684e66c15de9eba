//! The same work through this crate and through its peers: who is accepted, the peers as services that can be called, and the
//! file that figures go to. `src/main.rs` measures the services themselves, `src/bin/http.rs` measures them over HTTP.

pub mod authority;
pub mod crypto;
pub mod figures;
pub mod peer;
pub mod service;
pub mod work;
