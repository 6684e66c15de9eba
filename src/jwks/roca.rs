//! RSA keys of a generator that is known to be weak (ROCA, CVE-2017-15361): the private key can be computed from the
//! public one.
//!
//! The generator took primes that are powers of 65537 modulo many small primes, and their product is such a power, too. A
//! sound modulus has this form for all of the primes below with a chance of one in two hundred million.

/// The primes up to 167 that tell: modulo each of the others, every number but 0 is a power of 65537.
const PRIMES: [u32; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

/// Whether the modulus, big-endian, has the form that the weak generator gives it.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|prime| is_power_of_65537(remainder(modulus, *prime), *prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    (1..prime).any(|_| {
        power = power * (65537 % prime) % prime;
        power == residue
    })
}
