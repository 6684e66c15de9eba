//! Documents over HTTP, of which the last copy is kept, so that an issuer that says "not modified" has answered
//! (RFC 9110 section 13; RFC 9111 section 4.3).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AGE, CACHE_CONTROL, DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use url::Url;

use super::address;
use super::fetch::{ErasedFetch, FetchError, MOST_BYTES, PublicAddressesOnly};

const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, application/jwk-set+json");
/// The metadata and the keys, each with one copy from before it moved.
const MOST_COPIES: usize = 4;

/// What an address answered.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) text: Bytes,
    /// For how long it may be used without asking again.
    pub(super) max_age: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Documents {
    fetch: Arc<dyn ErasedFetch>,
    copies: Mutex<Vec<Copy>>,
}

#[derive(Debug, Clone)]
struct Copy {
    url: Url,
    /// What the server knows this version by, and the header that asks for it.
    validators: Vec<(HeaderName, HeaderValue)>,
    document: Document,
}

impl Documents {
    pub(super) fn new(fetch: Arc<dyn ErasedFetch>) -> Self {
        Self {
            fetch,
            copies: Mutex::default(),
        }
    }

    pub(super) async fn get(&self, url: &Url, only_public: bool) -> Result<Document, FetchError> {
        if only_public && !address::may_be_public(url) {
            return Err(FetchError::NotPublic);
        }
        let copy = self.copies(|copies| copies.iter().find(|copy| copy.url == *url).cloned());
        let request = request(url, copy.as_ref(), only_public)?;
        let response = Arc::clone(&self.fetch).fetch(request).await?;
        let document = match (response.status(), copy) {
            (StatusCode::OK, _) => taken(&response)?,
            (StatusCode::NOT_MODIFIED, Some(copy)) => Document {
                max_age: max_age(response.headers()).or(copy.document.max_age),
                ..copy.document
            },
            (status, _) => return Err(refused(status, response.headers())),
        };
        self.keep(url, response.headers(), &document);
        Ok(document)
    }

    /// What was fetched from here last cannot be used, so it is asked for anew: a server that names a broken answer as it names
    /// the good one would otherwise say for ever that nothing changed.
    pub(super) fn forget(&self, url: &Url) {
        self.copies(|copies| copies.retain(|copy| copy.url != *url));
    }

    /// A 304 need not repeat the validators; then those of the copy stay.
    fn keep(&self, url: &Url, headers: &HeaderMap, document: &Document) {
        let new = validators(headers);
        self.copies(|copies| {
            let place = copies.iter().position(|copy| copy.url == *url);
            let old = place.map(|place| copies.remove(place));
            let same = old.filter(|old| old.document.text == document.text);
            let validators = match same {
                Some(old) if new.is_empty() => old.validators,
                _ => new,
            };
            if validators.is_empty() {
                return;
            }
            if copies.len() >= MOST_COPIES {
                copies.remove(0);
            }
            copies.push(Copy {
                url: url.clone(),
                validators,
                document: document.clone(),
            });
        });
    }

    fn copies<T>(&self, look: impl FnOnce(&mut Vec<Copy>) -> T) -> T {
        look(&mut self.copies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn request(url: &Url, copy: Option<&Copy>, only_public: bool) -> Result<Request<()>, FetchError> {
    let mut request = Request::new(());
    *request.uri_mut() = url
        .as_str()
        .parse()
        .map_err(|error: http::uri::InvalidUri| FetchError::Transport(error.into()))?;
    request.headers_mut().insert(ACCEPT, ACCEPTED);
    for (name, value) in copy.into_iter().flat_map(|copy| &copy.validators) {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    if only_public {
        request.extensions_mut().insert(PublicAddressesOnly);
    }
    Ok(request)
}

fn taken(response: &Response<Bytes>) -> Result<Document, FetchError> {
    if response.body().len() > MOST_BYTES {
        return Err(FetchError::TooLarge);
    }
    Ok(Document {
        text: response.body().clone(),
        max_age: max_age(response.headers()),
    })
}

fn validators(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
    let given = pairs
        .into_iter()
        .map(|(given, asked)| (asked, headers.get(given)));
    given
        .filter_map(|(asked, value)| Some((asked, value?.clone())))
        .collect()
}

/// What is left of `max-age` (RFC 9111 section 4.2). If it is given more than once, the shortest counts.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers
        .get_all(CACHE_CONTROL)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    let directives = lines.flat_map(|line| line.split(','));
    let ages = directives.filter_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("max-age");
        is_it.then(|| seconds(value.trim().trim_matches('"'))).flatten()
    });
    let age = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?));
    Some(ages.min()?.saturating_sub(age.unwrap_or_default()))
}

/// Digits only; more than fit are for ever (RFC 9111 section 1.2.2).
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> FetchError {
    let may_ask = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    match retry_after(headers).filter(|_| may_ask) {
        Some(retry_after) => FetchError::Busy { status, retry_after },
        None => FetchError::Status(status),
    }
}

/// In seconds, or as a date; a date is compared with the server's own, since its clock need not be ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let asked = text(RETRY_AFTER)?.trim();
    seconds(asked).or_else(|| {
        let until = httpdate::parse_http_date(asked).ok()?;
        until
            .duration_since(httpdate::parse_http_date(text(DATE)?).ok()?)
            .ok()
    })
}
