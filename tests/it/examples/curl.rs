//! Reads the commands that the examples print.

use http::Method;

/// As much of curl's command line as the examples use. Anything else is a mistake, here or there.
#[derive(Debug, PartialEq)]
pub(super) struct Curl {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Curl {
    /// The command, and the status that stands behind it.
    pub(super) fn parse(line: &str) -> (Self, u16) {
        let (command, status) = line
            .rsplit_once(" # ")
            .unwrap_or_else(|| panic!("no status: {line}"));
        let mut words = words(command).into_iter();
        assert_eq!(words.next().as_deref(), Some("curl"), "{line}");
        let (mut method, mut url, mut headers) = (None, None, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .unwrap_or_else(|| panic!("{word} without a value: {line}"))
            };
            match word.as_str() {
                "-s" | "-si" | "--http2-prior-knowledge" => {}
                "-o" => assert_eq!(value(), "/dev/null", "{line}"),
                "-w" => assert_eq!(value(), r"%{http_code}\n", "{line}"),
                "-D" => assert_eq!(value(), "-", "{line}"),
                "--data-binary" => {
                    assert_eq!(value(), "@-", "{line}");
                    method = method.or(Some(Method::POST));
                }
                "-X" => method = Some(value().parse().unwrap()),
                "-H" => {
                    let header = value();
                    let (name, value) = header
                        .split_once(": ")
                        .unwrap_or_else(|| panic!("{header}: {line}"));
                    headers.push((name.to_owned(), value.to_owned()));
                }
                address if address.starts_with("http://") && url.is_none() => url = Some(word),
                other => panic!("{other} is not understood: {line}"),
            }
        }
        let url = url.unwrap_or_else(|| panic!("no address: {line}"));
        let curl = Self {
            method: method.unwrap_or(Method::GET),
            url,
            headers,
        };
        (curl, status.parse().unwrap())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|header| header.0.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The words of a shell command: bare, or in single quotes. Nothing that a shell would expand.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = command.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted
                .split_once('\'')
                .unwrap_or_else(|| panic!("an open quote: {command}")),
            None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@".contains(letter);
        assert!(
            rest.starts_with('\'') || word.chars().all(plain),
            "{word} needs quotes: {command}"
        );
        assert!(
            after.is_empty() || after.starts_with(' '),
            "a word of two parts: {command}"
        );
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[test]
fn a_command_is_read_as_a_shell_and_curl_would() {
    let (curl, status) = Curl::parse("curl -si -X POST -H 'X-API-Key: a b' http://127.0.0.1:1/x # 403");
    assert_eq!(status, 403);
    assert_eq!(curl.method, Method::POST);
    assert_eq!(curl.url, "http://127.0.0.1:1/x");
    assert_eq!(curl.header("x-api-key"), Some("a b"));
}

#[test]
#[should_panic(expected = "needs quotes")]
fn a_command_that_the_shell_would_change_is_not_run() {
    Curl::parse("curl -H $TOKEN http://127.0.0.1:1/ # 200");
}

#[test]
#[should_panic(expected = "--insecure is not understood")]
fn an_option_that_is_not_known_is_not_skipped() {
    Curl::parse("curl --insecure http://127.0.0.1:1/ # 200");
}
