//! Tokens that a real authorization server issued (npm's oidc-provider, see `tests/idp/`), presented to the same API
//! hosted by axum, by hyper without axum, and by tonic.

mod hosts;
mod server;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_resource_server::testing::TestClock;

use self::hosts::{Host, hosts_of};
use self::server::RealIssuer;

const API: &str = "https://api.example.test";

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_every_grant_and_algorithm_are_accepted_with_the_right_principal() {
    let Some(idp) = RealIssuer::start().await else {
        return;
    };
    for host in hosts_of(&idp.issuer(), TestClock::new()).await {
        for grant in ["client_credentials", "authorization_code", "refresh_token"] {
            for alg in ["RS256", "ES256", "EdDSA"] {
                let token = idp
                    .token(json!({ "grant": grant, "alg": alg, "resource": API }))
                    .await;
                let (subject, client) = match grant {
                    "client_credentials" => ("pets-service", "pets-service"),
                    _ => ("user_1", "pets-app"),
                };
                let answer = host.call(Some(&token)).await;
                assert_eq!(answer.code, host.ok(), "{grant} {alg} {host:?}: {answer:?}");
                let expected = json!({
                    "issuer": idp.issuer(),
                    "subject": subject,
                    "client": client,
                    "scopes": ["read:pets", "write:pets"],
                    "department": "veterinary",
                });
                assert_eq!(answer.caller, Some(expected), "{grant} {alg} {host:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_for_this_api_are_refused() {
    let Some(idp) = RealIssuer::start().await else {
        return;
    };
    let Some(other_idp) = RealIssuer::start().await else {
        return;
    };
    let other_audience = idp
        .token(json!({ "resource": "https://other.example.test" }))
        .await;
    let other_issuer = other_idp.token(json!({ "resource": API })).await;
    let opaque = idp
        .token(json!({ "resource": "https://opaque.example.test" }))
        .await;
    let without_scope = idp.token(json!({ "resource": API, "scope": "write:pets" })).await;
    let without_any_scope = idp.token(json!({ "resource": API, "scope": "" })).await;
    for host in hosts_of(&idp.issuer(), TestClock::new()).await {
        for (name, token, expected) in [
            ("none", None, host.unauthenticated()),
            ("another audience", Some(&other_audience), host.unauthenticated()),
            ("another issuer", Some(&other_issuer), host.unauthenticated()),
            ("opaque", Some(&opaque), host.unauthenticated()),
            ("a missing scope", Some(&without_scope), host.forbidden()),
            ("no scope at all", Some(&without_any_scope), host.forbidden()),
        ] {
            let answer = host.call(token.map(String::as_str)).await;
            assert_eq!(answer.code, expected, "{name} {host:?}: {answer:?}");
            assert!(
                answer.challenge.starts_with("Bearer realm=\"api\""),
                "{name} {host:?}: {answer:?}"
            );
            assert_eq!(answer.caller, None, "{name} {host:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused() {
    let Some(idp) = RealIssuer::start().await else {
        return;
    };
    let token = idp.token(json!({ "resource": API, "ttl": 60 })).await;
    let clock = TestClock::new();
    let hosts = hosts_of(&idp.issuer(), clock.clone()).await;
    for host in &hosts {
        assert_eq!(host.call(Some(&token)).await.code, host.ok(), "{host:?}");
    }
    clock.advance(Duration::from_secs(60 + 31));
    for host in &hosts {
        let answer = host.call(Some(&token)).await;
        assert_eq!(answer.code, host.unauthenticated(), "{host:?}");
        assert!(answer.challenge.contains("error=\"invalid_token\""), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_rotate_at_the_server_are_followed_without_a_restart() {
    let Some(idp) = RealIssuer::start().await else {
        return;
    };
    let hosts = hosts_of(&idp.issuer(), TestClock::new()).await;
    let before = idp.token(json!({ "resource": API })).await;
    for host in &hosts {
        assert_eq!(host.call(Some(&before)).await.code, host.ok(), "{host:?}");
    }
    idp.rotate().await;
    for alg in ["RS256", "ES256", "EdDSA"] {
        let after = idp.token(json!({ "resource": API, "alg": alg })).await;
        for host in &hosts {
            assert_eq!(host.call(Some(&after)).await.code, host.ok(), "{alg} {host:?}");
        }
    }
    for host in &hosts {
        let answer = host.call(Some(&before)).await;
        assert_eq!(
            answer.code,
            host.unauthenticated(),
            "a withdrawn key still verifies: {host:?}"
        );
    }
}

/// Under load: whoever has a valid token is let in before, while and after the server takes new keys, at every host.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_at_the_server_refuses_nobody_who_has_a_valid_token() {
    let Some(idp) = RealIssuer::start().await else {
        return;
    };
    let hosts = Arc::new(hosts_of(&idp.issuer(), TestClock::new()).await);
    let before = tokens(&idp).await;
    // The old keys are good until somebody brings a token of the new ones, and nobody does yet.
    let (load, stop) = load(&hosts, &before);
    idp.rotate().await;
    let after = tokens(&idp).await;
    stop.send_replace(true);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
    // All at once, every host and every algorithm: each waits for the same fetch, and is let in.
    let (load, stop) = self::load(&hosts, &after);
    for host in hosts.iter() {
        for token in &after {
            assert_eq!(host.call(Some(token)).await.code, host.ok(), "{host:?}");
        }
        let answer = host.call(Some(&before[0])).await;
        assert_eq!(answer.code, host.unauthenticated(), "{host:?}");
    }
    stop.send_replace(true);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
}

async fn tokens(idp: &RealIssuer) -> Vec<String> {
    let mut tokens = Vec::new();
    for alg in ["RS256", "ES256", "EdDSA"] {
        tokens.push(idp.token(json!({ "resource": API, "alg": alg })).await);
    }
    tokens
}

/// Tasks that present these tokens at every host until they are stopped. How many were let in: all.
fn load(hosts: &Arc<[Host; 3]>, tokens: &[String]) -> (Vec<JoinHandle<usize>>, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    let tasks = (0..4).map(|_| {
        let (hosts, tokens, stopped) = (Arc::clone(hosts), tokens.to_vec(), stopped.clone());
        tokio::spawn(async move {
            let mut passed = 0;
            while !*stopped.borrow() || passed == 0 {
                for host in hosts.iter() {
                    for token in &tokens {
                        let answer = host.call(Some(token)).await;
                        assert_eq!(answer.code, host.ok(), "{host:?}: {answer:?}");
                        passed += 1;
                    }
                }
            }
            passed
        })
    });
    (tasks.collect(), stop)
}
