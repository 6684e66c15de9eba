//! The troubles of an issuer, and the drill that each of them is put through.

use http::StatusCode;
use serde_json::json;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{FetchState, KeyState, RemoteKeys};

use super::unruly::{Mood, Unruly};
use super::{Counted, HOUR, LIFE, MINUTE, SECOND, Service, chain, patient, until};
use crate::rfc::tls;
use crate::server::{Reply, Server};
use crate::support::{API, bearer, call};

/// What goes wrong with the document of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Down,
    Hangs,
    Resets,
    InternalError,
    TooManyRequests,
    Drips,
    Pours,
    PoursWithoutLength,
    WrongContent,
    TruncatedJson,
    BreaksOff,
    NoKeys,
    Redirects,
    UntrustedCertificate,
    NameThatDoesNotExist,
}

impl Trouble {
    #[cfg(target_os = "linux")]
    pub(super) const ALL: [Self; 15] = [
        Self::Down,
        Self::Hangs,
        Self::Resets,
        Self::InternalError,
        Self::TooManyRequests,
        Self::Drips,
        Self::Pours,
        Self::PoursWithoutLength,
        Self::WrongContent,
        Self::TruncatedJson,
        Self::BreaksOff,
        Self::NoKeys,
        Self::Redirects,
        Self::UntrustedCertificate,
        Self::NameThatDoesNotExist,
    ];

    /// Part of what is said about it, so that a drill is about this trouble and no other.
    fn said(self) -> &'static [&'static str] {
        match self {
            Self::Down => &["refused"],
            Self::Hangs | Self::Drips => &["timed out"],
            Self::Resets | Self::BreaksOff => &["the request failed"],
            Self::InternalError => &["500"],
            Self::TooManyRequests => &["429", "a pause of 50 s"],
            Self::Pours | Self::PoursWithoutLength => &["longer than 512 KiB"],
            Self::WrongContent => &["not a JSON Web Key Set", "not an object"],
            Self::TruncatedJson => &["not a JSON Web Key Set", "not JSON"],
            Self::NoKeys => &["no key that can be used"],
            Self::Redirects => &["307"],
            Self::UntrustedCertificate => &["certificate"],
            Self::NameThatDoesNotExist => &["dns error"],
        }
    }

    /// Those that end when somebody loses patience.
    fn takes_long(self) -> bool {
        matches!(self, Self::Hangs | Self::Drips | Self::NameThatDoesNotExist)
    }
}

/// An issuer whose metadata are served as they should be, and name the address of the keys.
struct Place {
    idp: TestIssuer,
    metadata: Server,
    keys: Unruly,
    /// Where a redirect leads; it would have the keys.
    elsewhere: Server,
    client: Counted,
}

impl Place {
    fn new() -> Self {
        let metadata = Server::start();
        let idp = TestIssuer::new(metadata.url(""), API);
        let elsewhere = Server::start();
        elsewhere.serve("/jwks", Reply::json(idp.jwks()));
        let place = Self {
            keys: Unruly::start(Mood::json(&idp.jwks())),
            client: Counted::new(),
            idp,
            metadata,
            elsewhere,
        };
        place.keys_are_at(&place.keys.url());
        place
    }

    fn source(&self) -> RemoteKeys {
        RemoteKeys::discover(self.idp.name()).fetch(self.client.clone())
    }

    fn keys_are_at(&self, url: &str) {
        let metadata = json!({"issuer": self.idp.name(), "jwks_uri": url}).to_string();
        let path = "/.well-known/openid-configuration";
        self.metadata.serve(path, Reply::json(metadata));
    }

    fn gets_into(&self, trouble: Trouble) {
        let good = self.idp.jwks();
        match trouble {
            Trouble::Down => self.keys.goes_down(),
            Trouble::UntrustedCertificate => self.keys_are_at(&tls::serve(&good)),
            Trouble::NameThatDoesNotExist => self.keys_are_at("https://keys.invalid/jwks"),
            _ => self.keys.turns(self.mood(trouble, &good)),
        }
        self.client.hurry(trouble.takes_long());
    }

    fn mood(&self, trouble: Trouble, good: &str) -> Mood {
        match trouble {
            Trouble::Hangs => Mood::Hangs,
            Trouble::Resets => Mood::Resets,
            Trouble::Drips => Mood::Drips,
            Trouble::Pours => Mood::Pours { tells_length: true },
            Trouble::PoursWithoutLength => Mood::Pours { tells_length: false },
            Trouble::InternalError => Mood::answer("500 Internal Server Error", "", good),
            Trouble::TooManyRequests => Mood::answer("429 Too Many Requests", "retry-after: 50\r\n", good),
            Trouble::WrongContent => {
                let page = "<html><body>Scheduled maintenance</body></html>";
                Mood::answer("200 OK", "content-type: text/html\r\n", page)
            }
            Trouble::TruncatedJson => Mood::json(&good[..good.len() / 2]),
            Trouble::NoKeys => Mood::json(r#"{"keys":[]}"#),
            Trouble::Redirects => {
                let there = self.elsewhere.url("/jwks").replace("127.0.0.1", "localhost");
                Mood::answer("307 Temporary Redirect", &format!("location: {there}\r\n"), good)
            }
            Trouble::BreaksOff => {
                let Mood::Says(mut bytes) = Mood::json(good) else {
                    panic!("it says nothing")
                };
                bytes.truncate(bytes.len() - good.len() / 2);
                Mood::Says(bytes)
            }
            _ => Mood::json(good),
        }
    }

    fn is_well_again(&self) {
        self.client.hurry(false);
        self.keys.turns(Mood::json(&self.idp.jwks()));
        self.keys.comes_up();
        self.keys_are_at(&self.keys.url());
    }
}

/// An hour of it, and the end.
pub(super) async fn drill(trouble: Trouble) {
    let place = Place::new();
    let old = place.idp.token().expires_in(HOUR * 3).sign();
    let service = Service::new(&place.idp, patient(place.source()));
    assert_eq!(service.reason(&old).await, "ok");
    place.gets_into(trouble);
    hour_of_trouble(&place, &service, trouble).await;
    nobody_is_let_in_without_keys(&place, trouble).await;
    place.idp.rotate();
    place.is_well_again();
    recovers(&place, &service, &old).await;
    assert_eq!(place.elsewhere.asked(), [""; 0]);
}

/// The keys were had before, so every valid token passes: at once, and up to an hour after their life.
async fn hour_of_trouble(place: &Place, service: &Service, trouble: Trouble) {
    let known = place.idp.token().expires_in(HOUR * 3).sign();
    for pause in [LIFE, MINUTE * 10, MINUTE * 20, SECOND * (28 * 60 + 59)] {
        place.idp.clock().advance(pause);
        let before = place.client.tries();
        until("a fetch that failed", async || {
            let fresh = place.idp.token().sign();
            assert_eq!(service.reason(&fresh).await, "ok", "{trouble:?}");
            assert_eq!(service.reason(&known).await, "ok", "{trouble:?}");
            let is_waiting = matches!(service.issuer.key_status().fetch, FetchState::Waiting { .. });
            is_waiting && place.client.tries() > before
        })
        .await;
        let status = service.issuer.key_status();
        assert!(matches!(status.keys, KeyState::Stale { .. }), "{status:?}");
    }
}

/// 503, with a time to come back: the token may be good.
async fn nobody_is_let_in_without_keys(place: &Place, trouble: Trouble) {
    let keys = patient(place.source()).longest_wait(SECOND / 20);
    let fresh = Service::new(&place.idp, keys);
    let token = place.idp.token().sign();
    let answer = call(&fresh.app, bearer(&token)).await;
    if trouble.takes_long() && trouble != Trouble::NameThatDoesNotExist {
        // The answer came while the fetch was still under way: nobody waits for its end.
        assert_eq!(fresh.issuer.key_status().fetch, FetchState::Running);
    }
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{trouble:?}");
    assert_eq!(answer.reason(), "keys_unavailable");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=50).contains(&seconds), "{trouble:?}: {seconds}");
    let said = chain(&fresh.issuer.warm_up().await.unwrap_err());
    for part in trouble.said() {
        assert!(said.contains(part), "{trouble:?}: {said}");
    }
}

/// The next attempt comes within a minute, and is enough: one request for the metadata, and one for the keys. The keys
/// that are stale for an hour all but a second are in use until then.
async fn recovers(place: &Place, service: &Service, old: &str) {
    let before = place.client.tries();
    place.idp.clock().advance(MINUTE);
    assert_eq!(service.reason(old).await, "ok");
    until("the keys are fresh", async || {
        service.issuer.key_status().keys == KeyState::Fresh
    })
    .await;
    assert_eq!(place.client.tries(), before + 2);
    assert_eq!(service.reason(&place.idp.token().sign()).await, "ok");
    assert_eq!(place.client.tries(), before + 2);
    // It was withdrawn meanwhile, and was known.
    assert_eq!(service.reason(old).await, "signing_key_unknown");
}
