//! What particular frameworks need beside the layers.

#[cfg(feature = "axum")]
mod axum;
