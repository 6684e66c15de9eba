//! What the fuzz targets share: services over fixed keys, a way to call them, and what must hold for every refusal.
//!
//! Only the public API of the crate is used. Each target compares what the crate says with a model of its own: what must
//! be accepted, what must be refused, and with which answer.

mod answer;
mod json;
mod service;
mod token;

pub use answer::{Answer, Schemes, challenge, quotable, token_word};
pub use json::{Json, is_scope_token, media_type_is};
pub use service::{ask, bare, get, header, now};
pub use token::{
    API, GOOD_HEADER, ISSUER, NOW, SECRET, b64, good_claims, issuer, lenient, sign, sign_parts, stopped,
};
