//! Fresh HS256 tokens, for `benches/instructions/parts` to take apart.

fn main() {
    instructions::fresh_hs256().call(0..instructions::COUNTED);
}
