//! Encodes and decodes a token with jsonwebtoken, in a tree that also holds tower-resource-server.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use tower_resource_server::{FixedKeys, Issuer, JwtLayer, Secret};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = [7; 32];
    let keys = FixedKeys::secret(Secret::new(secret));
    let issuer = Issuer::builder("https://idp.test").audience("api").keys(keys).build()?;
    let _layer = JwtLayer::new(issuer);

    let token = encode(&Header::default(), &json!({ "sub": "alice" }), &EncodingKey::from_secret(&secret))?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let claims = decode::<Value>(&token, &DecodingKey::from_secret(&secret), &validation)?.claims;
    println!("{}", claims["sub"]);
    Ok(())
}
