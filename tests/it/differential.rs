//! What this crate accepts, two other implementations accept, and what they make is accepted here: jsonwebtoken, with
//! every check that it has, and npm's jose, which has a parser, a key selection and a cryptography of its own.
//!
//! The cases are the same in each run; `DIFFERENTIAL_SEED=7 cargo test differential` gives others. Keys are new each time.

mod cases;
mod differences;
mod keys;
mod members;
mod peers;
mod signatures;
mod valid;

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestCaseResult, TestRunner};
use serde_json::{Value, json};

use self::cases::{Case, case, plain};
use self::differences::{DIFFERENCES, STRICTER, is_known};
use self::keys::{ALGORITHMS, b64, issuer_of, kid_of};
use self::peers::{Judgements, LEEWAY, Panel, sign_with_jsonwebtoken};
use self::valid::valid;
use crate::support::API;

/// Tokens are judged by the batch, since one of the judges is another process; at most so many in each. About five
/// thousand in all.
const BATCH: usize = 250;
const BATCHES: u32 = 40;

fn runner(batches: u32) -> TestRunner {
    let seed = std::env::var("DIFFERENTIAL_SEED").map_or(1, |seed| seed.parse().unwrap());
    TestRunner::new(Config {
        cases: batches,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..Config::default()
    })
}

/// How often what was said.
#[derive(Debug, Default)]
struct Tally {
    accepted: BTreeMap<&'static str, usize>,
    refused: BTreeMap<String, usize>,
    /// Refused here and by no other.
    refused_alone: BTreeMap<String, usize>,
    by_peers: BTreeMap<&'static str, usize>,
    differences: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn accepted(&self) -> usize {
        self.accepted.values().sum()
    }

    fn refused(&self) -> usize {
        self.refused.values().sum()
    }

    fn count(&mut self, case: &Case, token: &str, judgements: &Judgements, now: u64) -> TestCaseResult {
        for (peer, _) in judgements.by_peers().filter(|(_, judgement)| judgement.is_ok()) {
            *self.by_peers.entry(peer).or_default() += 1;
        }
        let Err(reason) = &judgements.ours else {
            *self.accepted.entry(case.algorithm).or_default() += 1;
            return self.compare_accepted(token, judgements, now);
        };
        *self.refused.entry(reason.clone()).or_default() += 1;
        let alone =
            judgements.jose.is_some() && judgements.by_peers().all(|(_, judgement)| judgement.is_ok());
        if alone {
            *self.refused_alone.entry(reason.clone()).or_default() += 1;
            let expected = STRICTER.iter().any(|(known, _)| known == reason);
            ensure(expected, || format!("refused here alone as {reason}: {token}"))?;
        }
        Ok(())
    }

    fn compare_accepted(&mut self, token: &str, judgements: &Judgements, now: u64) -> TestCaseResult {
        for (peer, judgement) in judgements.by_peers() {
            let Err(error) = judgement else { continue };
            let known = is_known(peer, error, &part_of(token, 0));
            ensure(known.is_some(), || {
                format!("accepted here, and by {peer} not, {error}: {token}")
            })?;
            *self.differences.entry(known.unwrap_or_default()).or_default() += 1;
        }
        ensure(in_time(&part_of(token, 1), now), || {
            format!("accepted at the wrong time: {token}")
        })
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> TestCaseResult {
    if holds {
        Ok(())
    } else {
        Err(TestCaseError::fail(message()))
    }
}

/// A part of a token that was accepted.
fn part_of(token: &str, index: usize) -> Value {
    let part = token.trim_start_matches(' ').split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The dates once more, since jsonwebtoken's clock is coarse here and jose may be missing.
fn in_time(claims: &Value, now: u64) -> bool {
    let (now, leeway) = (
        f64::from(u32::try_from(now).unwrap()),
        f64::from(u32::try_from(LEEWAY).unwrap()),
    );
    let started = |name: &str| match &claims[name] {
        Value::Null => true,
        date => date.as_f64().unwrap() <= now + leeway,
    };
    claims["exp"].as_f64().unwrap() > now - leeway && started("nbf") && started("iat")
}

#[test]
fn what_is_accepted_here_is_accepted_by_two_other_implementations() {
    let panel = Panel::meet();
    let tally = RefCell::new(Tally::default());
    let outcome = runner(BATCHES).run(&vec(case(), 1..=BATCH), |cases| {
        let tokens: Vec<String> = cases.iter().map(|case| case.token(panel.now)).collect();
        let judgements = panel.judge(&tokens);
        let mut tally = tally.borrow_mut();
        for ((case, token), judgements) in cases.iter().zip(&tokens).zip(&judgements) {
            tally.count(case, token, judgements, panel.now)?;
        }
        Ok(())
    });
    let tally = tally.into_inner();
    println!(
        "{} accepted, {} refused: {tally:#?}",
        tally.accepted(),
        tally.refused()
    );
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // Not in vain: many of both, every algorithm, and every kind of reason.
    assert!(
        tally.accepted() >= 1_000 && tally.refused() >= 2_000,
        "{tally:#?}"
    );
    assert_eq!(tally.accepted.len(), ALGORITHMS.len(), "{tally:#?}");
    assert!(tally.refused.len() >= 18, "{tally:#?}");
}

#[test]
fn a_listed_difference_is_as_described_and_the_third_judge_agrees_with_this_crate() {
    let panel = Panel::meet();
    for difference in &DIFFERENCES {
        let token = (difference.example)().token(panel.now);
        let judgements = panel.judge(&[token]).remove(0);
        assert_eq!(judgements.ours, Ok(()), "{}", difference.name);
        for (peer, judgement) in judgements.by_peers() {
            let expected = if peer == difference.peer {
                Err(difference.error.to_owned())
            } else {
                Ok(())
            };
            assert_eq!(judgement, &expected, "{}: {}", difference.name, difference.why);
        }
    }
}

#[test]
fn valid_tokens_that_the_others_make_are_accepted() {
    let panel = Panel::meet();
    let made = RefCell::new(BTreeMap::<&str, usize>::new());
    let outcome = runner(8).run(&vec(valid(panel.now), 1..=150), |wanted| {
        let by_jsonwebtoken = wanted
            .iter()
            .filter_map(|one| sign_with_jsonwebtoken(one.algorithm, &one.header, &one.claims));
        let mut tokens: Vec<_> = by_jsonwebtoken.map(|token| ("jsonwebtoken", token)).collect();
        if let Some(jose) = &panel.jose {
            let wanted: Vec<Value> = wanted
                .iter()
                .map(|one| wish(one.algorithm, &one.header, &one.claims))
                .collect();
            tokens.extend(jose.sign(&wanted).into_iter().map(|token| ("jose", token)));
        }
        for (peer, token) in tokens {
            *made.borrow_mut().entry(peer).or_default() += 1;
            let judgement = panel.ours(&token);
            ensure(judgement.is_ok(), || format!("of {peer}, {judgement:?}: {token}"))?;
        }
        Ok(())
    });
    println!("{made:?}");
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(made.borrow().values().all(|count| *count >= 100), "{made:?}");
}

fn wish(algorithm: &str, header: &Value, claims: &Value) -> Value {
    json!({ "alg": algorithm, "header": header, "claims": claims })
}

/// The token with one bit changed in the middle of a part.
fn with_a_flipped_bit(token: &str, index: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut bytes = URL_SAFE_NO_PAD.decode(&parts[index]).unwrap();
    // In the claims it is a letter of the subject, so that they can still be read.
    let subject = bytes.windows(5).position(|window| window == b"alice");
    let place = subject.unwrap_or(bytes.len() / 2);
    bytes[place] ^= 1;
    parts[index] = b64(bytes);
    parts.join(".")
}

#[test]
fn every_algorithm_of_each_peer_is_accepted_and_refused_after_one_bit() {
    let panel = Panel::meet();
    for (algorithm, _) in ALGORITHMS {
        let header = json!({"typ": "at+jwt", "kid": kid_of(algorithm)});
        let claims = json!({"iss": issuer_of(algorithm), "aud": API, "exp": panel.now + 300, "iat": panel.now, "sub": "alice"});
        let of_jsonwebtoken = sign_with_jsonwebtoken(algorithm, &header, &claims);
        // Two algorithms are unknown to it, see `DIFFERENCES`.
        assert_eq!(
            of_jsonwebtoken.is_none(),
            ["ES512", "Ed25519"].contains(&algorithm),
            "{algorithm}"
        );
        let wish = [wish(algorithm, &header, &claims)];
        let of_jose = panel.jose.as_ref().map(|jose| jose.sign(&wish).remove(0));
        let ours = plain(algorithm).token(panel.now);
        for (maker, token) in [
            ("jsonwebtoken", of_jsonwebtoken),
            ("jose", of_jose),
            ("ours", Some(ours)),
        ] {
            let Some(token) = token else { continue };
            assert_eq!(panel.ours(&token), Ok(()), "{algorithm} by {maker}");
            for part in [1, 2] {
                let changed = with_a_flipped_bit(&token, part);
                let expected = Err("signature_invalid".to_owned());
                assert_eq!(
                    panel.ours(&changed),
                    expected,
                    "{algorithm} by {maker}, part {part}"
                );
            }
        }
    }
}
