//! Prints the RS256 token of `known_token.json` anew, with its public key. Nobody has the private key afterwards.

#![allow(clippy::print_stdout, reason = "it is what it is for")]

fn main() {
    println!("{:#}", instructions::new_known_token());
}
