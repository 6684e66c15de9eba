//! `CONFIG.json`: read by hand, member for member, so that everything that is wrong with it is told at once.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tower_resource_server::{
    Algorithm, ApiKeyRecord, ConfigError, FixedKeys, Issuer, KeyDigest, MemoryKeyStore, MemoryRevocations,
    Profile, RemoteKeys, Revocation, Scope, ScopeSource, Secret, TrustedIssuers,
};

/// Stands where a value could not be read, so that the rest is looked at all the same. It is never served with.
const UNREAD: &str = "https://unread.invalid/";

/// The last second of the year 9999: a revocation without an end.
const NEVER: Duration = Duration::from_secs(253_402_300_799);

pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) trusted: TrustedIssuers,
    /// The same over the same keys, in the profile of RFC 9068.
    pub(crate) strict: TrustedIssuers,
    pub(crate) keys: MemoryKeyStore,
    pub(crate) revocations: Option<MemoryRevocations>,
}

impl Config {
    pub(crate) fn read(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let root = problems.keep("", serde_json::from_str(text));
        let root = root.and_then(|root| Members::of("", root, &mut problems));
        let Some(mut root) = root else {
            return Err(problems);
        };

        let listen = root.required::<String>("listen", &mut problems);
        let listen = listen.and_then(|text| {
            problems.keep(
                "listen",
                text.parse().map_err(|error| format!("{text:?}: {error}")),
            )
        });
        let before = problems.0.len();
        let issuers = root.list("issuers", &mut problems, issuer);
        let trusted = if issuers.is_empty() && problems.0.len() > before {
            None // what is wrong with them was told already
        } else {
            problems.keep_config("", TrustedIssuers::new(issuers.iter().cloned()))
        };
        let strict = issuers
            .iter()
            .map(|issuer| issuer.with_profile(Profile::rfc9068()));
        let strict = TrustedIssuers::new(strict).ok(); // what is wrong with it is wrong with the other
        let keys = root.list("api_keys", &mut problems, api_key);
        told_apart(&keys, &mut problems);
        let revocations = revocations(&mut root, &mut problems);
        root.end(&mut problems);

        match (listen, trusted, strict) {
            (Some(listen), Some(trusted), Some(strict)) if problems.0.is_empty() => Ok(Self {
                listen,
                issuers,
                trusted,
                strict,
                keys: keys.into_iter().collect(),
                revocations,
            }),
            _ => Err(problems),
        }
    }
}

fn issuer(mut members: Members, problems: &mut Problems) -> Option<Issuer> {
    let name = members.required::<String>("issuer", problems);
    let audiences = members.required::<Vec<String>>("audience", problems);
    if audiences.as_ref().is_some_and(Vec::is_empty) {
        problems.add(members.path("audience"), "an empty list is no audience");
    }
    let audiences = audiences.unwrap_or_default();
    let (first, others) = match audiences.split_first() {
        Some((first, others)) => (first.as_str(), others),
        None => (UNREAD, [].as_slice()),
    };
    let mut builder = Issuer::builder(name.as_deref().unwrap_or(UNREAD))
        .audience(first)
        .accept_any_scope()
        .scopes_from([ScopeSource::scope(), ScopeSource::scp()]);
    for audience in others {
        builder = builder.audience(audience);
    }

    if members.has("jwks_uri") && members.has("secret_base64url") {
        problems.add(
            members.path("secret_base64url"),
            "there is a jwks_uri as well; the keys are in one place",
        );
    }
    // With neither, the library finds the keys by discovery.
    if members.has("secret_base64url") {
        members.take::<String>("jwks_uri", problems);
        let secret = members.take::<String>("secret_base64url", problems).map(|text| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            problems.keep(
                members.path("secret_base64url"),
                bytes.map_err(|_| "it is not base64url"),
            )
        });
        let secret = secret.flatten().unwrap_or_else(|| vec![0; 64]);
        builder = builder.keys(FixedKeys::secret(Secret::new(secret)));
    } else if members.has("jwks_uri") {
        let uri = members.take::<String>("jwks_uri", problems);
        builder = builder.keys(RemoteKeys::jwks_uri(uri.as_deref().unwrap_or(UNREAD)));
    }
    if let Some(names) = members.take::<Vec<String>>("algorithms", problems) {
        let path = members.path("algorithms");
        let known = names
            .iter()
            .filter_map(|name| problems.keep(&path, name.parse::<Algorithm>()));
        let known: Vec<Algorithm> = known.collect();
        if !known.is_empty() || names.is_empty() {
            builder = builder.algorithms(known);
        }
    }
    if let Some(seconds) = members.take("leeway_seconds", problems) {
        builder = builder.leeway(Duration::from_secs(seconds));
    }
    let path = members.path("");
    members.end(problems);
    problems.keep_config(&path, builder.build())
}

fn api_key(mut members: Members, problems: &mut Problems) -> Option<ApiKeyRecord> {
    let id = members.path("");
    let key = members.required::<String>("key", problems);
    if key
        .as_ref()
        .is_some_and(|key| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        problems.add(
            members.path("key"),
            "a key is visible ASCII, one character or more",
        );
    }
    let owner = members.required::<String>("owner", problems);
    let words = members
        .take::<Vec<String>>("scopes", problems)
        .unwrap_or_default();
    let path = members.path("scopes");
    let scopes: Vec<Scope> = words
        .into_iter()
        .filter_map(|word| {
            let scope = Scope::new(word.as_str()).map_err(|error| format!("{word:?}: {error}"));
            problems.keep(&path, scope)
        })
        .collect();
    let not_before = members.time("not_before", problems);
    let expires_at = members.time("expires_at", problems);
    let revoked = members.take("revoked", problems).unwrap_or(false);
    members.end(problems);

    let mut record = ApiKeyRecord::builder(id, owner?, KeyDigest::of(key?)).scopes(scopes);
    if let Some(at) = not_before {
        record = record.not_before(at);
    }
    if let Some(at) = expires_at {
        record = record.expires_at(at);
    }
    if revoked {
        record = record.revoked();
    }
    Some(record.build())
}

/// A store keeps one record for each key, so a second one would silently replace the first.
fn told_apart(keys: &[ApiKeyRecord], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for record in keys {
        if !seen.insert(record.digest()) {
            problems.add(format!("{}.key", record.id()), "another record has the same key");
        }
    }
}

fn revocations(root: &mut Members, problems: &mut Problems) -> Option<MemoryRevocations> {
    let ids = root.list("revoked_token_ids", problems, |mut members, problems| {
        let issuer = members.required::<String>("issuer", problems);
        let id = members.required::<String>("jti", problems);
        let until = members.time("expires_at", problems);
        members.end(problems);
        Some((issuer?, id?, until.unwrap_or(SystemTime::UNIX_EPOCH + NEVER)))
    });
    let versions = root.list("token_versions", problems, |mut members, problems| {
        let issuer = members.required::<String>("issuer", problems);
        let subject = members.required::<String>("subject", problems);
        let minimum = members.required::<u64>("minimum", problems);
        members.end(problems);
        Some((issuer?, subject?, minimum?))
    });
    if ids.is_empty() && versions.is_empty() {
        return None;
    }
    // The contract has a version concern the tokens of one subject; one without a subject is not its.
    let mut revocations = MemoryRevocations::new().accept_tokens_without_subject();
    if ids.is_empty() {
        // No token is revoked by its id, so none needs one.
        revocations = revocations.accept_tokens_without_id();
    }
    for (issuer, id, until) in ids {
        revocations.revoke(&Revocation::token(&issuer, &id, until));
    }
    for (issuer, subject, minimum) in versions {
        revocations.revoke(&Revocation::version(
            &issuer,
            &subject,
            minimum,
            SystemTime::UNIX_EPOCH + NEVER,
        ));
    }
    Some(revocations)
}

/// The members of an object that were not taken yet; what is left at the end is unknown.
struct Members {
    path: String,
    members: Map<String, Value>,
}

impl Members {
    fn of(path: impl Into<String>, value: Value, problems: &mut Problems) -> Option<Self> {
        let path = path.into();
        if let Value::Object(members) = value {
            Some(Self { path, members })
        } else {
            problems.add(path, "this must be an object");
            None
        }
    }

    /// The path of a member, or of the object itself if `name` is empty.
    fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// `null` is as good as nothing.
    fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    fn take<T: DeserializeOwned>(&mut self, name: &str, problems: &mut Problems) -> Option<T> {
        let value = self.members.remove(name).filter(|value| !value.is_null())?;
        problems.keep(self.path(name), serde_json::from_value(value))
    }

    fn required<T: DeserializeOwned>(&mut self, name: &str, problems: &mut Problems) -> Option<T> {
        if !self.has(name) {
            problems.add(self.path(name), "it is missing");
        }
        self.take(name, problems)
    }

    /// A moment as in RFC 3339.
    fn time(&mut self, name: &str, problems: &mut Problems) -> Option<SystemTime> {
        let text = self.take::<String>(name, problems)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|error| format!("{text:?} is no time of RFC 3339: {error}"));
        problems.keep(self.path(name), time).map(SystemTime::from)
    }

    /// A list of objects, each read by `read`; without those that cannot be read.
    fn list<T>(
        &mut self,
        name: &str,
        problems: &mut Problems,
        read: impl Fn(Members, &mut Problems) -> Option<T>,
    ) -> Vec<T> {
        let values = self.take::<Vec<Value>>(name, problems).unwrap_or_default();
        let mut items = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let members = Members::of(format!("{}[{index}]", self.path(name)), value, problems);
            items.extend(members.and_then(|members| read(members, problems)));
        }
        items
    }

    fn end(self, problems: &mut Problems) {
        for name in self.members.keys() {
            problems.add(self.path(name), "there is no such member");
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() || name.is_empty() {
        format!("{path}{name}")
    } else {
        format!("{path}.{name}")
    }
}

/// Everything that is wrong, each with its path.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, path: impl AsRef<str>, problem: impl fmt::Display) {
        let path = path.as_ref();
        self.0.push(if path.is_empty() {
            problem.to_string()
        } else {
            format!("{path}: {problem}")
        });
    }

    fn keep<T, E: fmt::Display>(&mut self, path: impl AsRef<str>, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(path, problem)).ok()
    }

    fn keep_config<T>(&mut self, path: &str, result: Result<T, ConfigError>) -> Option<T> {
        let Err(error) = &result else {
            return result.ok();
        };
        for problem in error.problems() {
            self.add(join(path, problem.setter), &problem.message);
        }
        None
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to mend", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
