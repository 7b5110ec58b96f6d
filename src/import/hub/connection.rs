//! Asks a hub, and reads its answers on a thread of their own, so that whoever waits can always stop.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::super::ImportError;
use super::settings::Hub;
use crate::text::excerpt;

/// Bytes that are handed over at once.
const CHUNK: usize = 128 << 10;
/// Between two looks at whether to stop.
const BEAT: Duration = Duration::from_millis(100);
/// Bytes that must come while a stall is waited for; fewer are as good as none.
pub(super) const LEAST: u64 = 1024;
/// Addresses that one file is looked for at.
const MOST_REDIRECTS: u32 = 5;
/// A server may ask for a longer pause than ours, but not for any.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The way to a hub.
pub(super) struct Connection<'h> {
    pub(super) hub: &'h Hub,
    tls: TlsConfig,
    /// None after an answer that was not read to its end: its connection is closed then.
    agent: Option<Agent>,
}

/// What an answer says before its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes that are to follow.
    pub(super) length: Option<u64>,
    /// The first byte of the file that follows, and the bytes of the whole file, if it is a part.
    pub(super) range: Option<(u64, u64)>,
    /// What is behind the last of a list.
    pub(super) next: Option<String>,
    retry_after: Option<Duration>,
    /// The hub's word for what is wrong.
    code: String,
}

/// What comes, in this order.
enum Event {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    Broken(String),
}

/// Why an answer did not come.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may come if it is asked for again, after a while.
    Again(String, Option<Duration>),
    /// An answer that no further try changes: status and the hub's word for it.
    Refused(u16, String),
    /// Ours to report as it is.
    Ours(ImportError),
}

impl From<ImportError> for Trouble {
    fn from(error: ImportError) -> Self {
        Self::Ours(error)
    }
}

/// Takes what comes.
pub(super) trait Sink {
    /// Before the content.
    fn head(&mut self, head: &Head) -> Result<(), Trouble>;
    /// Some of the content.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble>;
    /// About ten times a second, whether something comes or not.
    fn beat(&mut self) -> Result<(), ImportError>;
}

impl<'h> Connection<'h> {
    pub(super) fn new(hub: &'h Hub) -> Result<Self, ImportError> {
        Ok(Self {
            tls: tls(hub)?,
            hub,
            agent: None,
        })
    }

    /// Asks for `url`, from the byte `from` on, once.
    pub(super) fn get(&mut self, url: &str, from: u64, sink: &mut dyn Sink) -> Result<(), Trouble> {
        let agent = self.agent.take().unwrap_or_else(|| self.agent());
        let (events, answer) = mpsc::sync_channel(4);
        let asking = agent.clone();
        let (url, token) = (url.to_owned(), self.hub.token.clone());
        let asked = thread::Builder::new()
            .name("download".to_owned())
            .spawn(move || ask(&asking, &url, token.as_deref(), from, &events));
        if let Err(error) = asked {
            return Err(ImportError::Failed(format!(
                "a thread for the download: {error}: is there memory left?"
            ))
            .into());
        }
        let taken = self.take(&answer, sink);
        if taken.is_ok() {
            self.agent = Some(agent);
        } else {
            // Wakes the thread, wherever it waits; it finds that nobody listens.
            drop(answer);
            agent.shutdown();
        }
        taken
    }

    /// Takes an answer to its end.
    fn take(&self, answer: &mpsc::Receiver<Event>, sink: &mut dyn Sink) -> Result<(), Trouble> {
        let stall = self.hub.patience.stall;
        let mut since = Instant::now();
        let (mut came, mut has_begun) = (0, false);
        loop {
            sink.beat()?;
            match answer.recv_timeout(BEAT) {
                Ok(Event::Head(head)) => {
                    refusal(&head)?;
                    sink.head(&head)?;
                    (since, came, has_begun) = (Instant::now(), 0, true);
                }
                Ok(Event::Bytes(bytes)) => {
                    came += bytes.len() as u64;
                    sink.bytes(&bytes)?;
                }
                Ok(Event::End) => return Ok(()),
                Ok(Event::Broken(problem)) => return Err(Trouble::Again(problem, None)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Trouble::Again(
                        "the download's thread ended".to_owned(),
                        None,
                    ));
                }
            }
            // The time until an answer begins has a limit of its own.
            if has_begun && since.elapsed() >= stall {
                if came < LEAST {
                    let seconds = stall.as_secs_f32();
                    return Err(Trouble::Again(
                        format!("{came} bytes came in {seconds} s"),
                        None,
                    ));
                }
                (since, came) = (Instant::now(), 0);
            }
        }
    }

    fn agent(&self) -> Agent {
        let patience = self.hub.patience;
        Agent::config_builder()
            .tls_config(self.tls.clone())
            .http_status_as_error(false)
            .user_agent(concat!("easel/", env!("CARGO_PKG_VERSION")))
            // Ours to follow: the library would take the token along to other ports of a host.
            .max_redirects(0)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.stall))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .build()
            .new_agent()
    }
}

/// TLS by the system's list of authorities. A hub that is spoken to in plain HTTP, one's own mirror, needs none.
fn tls(hub: &Hub) -> Result<TlsConfig, ImportError> {
    let mut roots = Vec::new();
    if hub.endpoint.starts_with("https:") {
        let found = rustls_native_certs::load_native_certs();
        roots.extend(
            found
                .certs
                .iter()
                .map(|found| Certificate::from_der(found).to_owned()),
        );
        if roots.is_empty() {
            return Err(ImportError::Failed(
                "no certificate authorities are installed, so that no server can be trusted: apt install ca-certificates".to_owned(),
            ));
        }
    }
    let builder = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    Ok(builder.build())
}

/// What an answer's status says, if not that it is what was asked for.
fn refusal(head: &Head) -> Result<(), Trouble> {
    match head.status {
        200 | 206 => Ok(()),
        408 | 425 | 429 | 500..=599 => {
            let status = head.status;
            let after = head.retry_after.map(|pause| pause.min(LONGEST_PAUSE));
            Err(Trouble::Again(
                format!("it answers with HTTP {status}"),
                after,
            ))
        }
        // No such part: what is here is longer than the file.
        status => Err(Trouble::Refused(status, head.code.clone())),
    }
}

/// Asks, and hands over what comes, as long as somebody listens.
fn ask(agent: &Agent, url: &str, token: Option<&str>, from: u64, events: &SyncSender<Event>) {
    let ended = match answer(agent, url, token, from, events) {
        Ok(()) => Event::End,
        Err(problem) => Event::Broken(problem),
    };
    // Nobody listens: then nobody wants to know.
    let _ = events.send(ended);
}

fn answer(
    agent: &Agent,
    url: &str,
    token: Option<&str>,
    from: u64,
    events: &SyncSender<Event>,
) -> Result<(), String> {
    let mut place = url.to_owned();
    for _ in 0..=MOST_REDIRECTS {
        // Files are on other hosts than the hub; the token is not for those.
        let token = token.filter(|_| origin(&place) == origin(url));
        let mut response = request(agent, &place, token, from)?;
        let status = response.status().as_u16();
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            place = location
                .and_then(|location| joined(&place, location))
                .ok_or("it sends us to an address that is none")?;
            continue;
        }
        return hand_over(&mut response, events);
    }
    Err("it sends us from one address to the next without end".to_owned())
}

/// Asks for `url` itself.
fn request(
    agent: &Agent,
    url: &str,
    token: Option<&str>,
    from: u64,
) -> Result<Response<Body>, String> {
    // The line is checked as text by the http crate: other people's bytes cannot become headers.
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if from > 0 {
        request = request.header(header::RANGE, format!("bytes={from}-"));
    }
    request.call().map_err(|error| problem(&error))
}

/// Hands over an answer, head first.
fn hand_over(response: &mut Response<Body>, events: &SyncSender<Event>) -> Result<(), String> {
    let mut head = head_of(response.headers());
    head.status = response.status().as_u16();
    let is_right = matches!(head.status, 200 | 206);
    let gone = |_| "nobody listens".to_owned();
    events.send(Event::Head(head)).map_err(gone)?;
    if !is_right {
        return Ok(());
    }
    let mut body = response.body_mut().as_reader();
    loop {
        let mut bytes = vec![0; CHUNK];
        let count = body.read(&mut bytes).map_err(|error| {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<ureq::Error>());
            inner.map_or_else(|| error.to_string(), problem)
        })?;
        if count == 0 {
            return Ok(());
        }
        bytes.truncate(count);
        events.send(Event::Bytes(bytes)).map_err(gone)?;
    }
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']);
    end.map_or(url, |end| &url[..host + end])
}

/// Where `location` leads from `url`: to a whole URL, or to another path of the same host. Not from TLS to plain HTTP.
fn joined(url: &str, location: &str) -> Option<String> {
    let is_tls = |url: &str| url.starts_with("https://");
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(format!("{}{location}", origin(url)));
    }
    let is_whole = is_tls(location) || (location.starts_with("http://") && !is_tls(url));
    is_whole.then(|| location.to_owned())
}

/// What is wrong, in words for people who do not know the library.
fn problem(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its address is not found: is there a network?".to_owned(),
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        // As std words it.
        ureq::Error::Io(error) if error.to_string().contains("lookup address") => {
            problem(&ureq::Error::HostNotFound)
        }
        ureq::Error::Io(error) => excerpt(&error.to_string()),
        other => excerpt(&other.to_string()),
    }
}

fn head_of(headers: &HeaderMap) -> Head {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Head {
        status: 0,
        length: text("content-length").and_then(|length| length.trim().parse().ok()),
        range: text("content-range").and_then(range),
        next: text("link").and_then(next).map(str::to_owned),
        retry_after: text("retry-after")
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs),
        code: excerpt(text("x-error-code").unwrap_or_default()),
    }
}

/// `bytes FIRST-LAST/WHOLE` (RFC 9110, 14.4): first byte and bytes of the whole.
fn range(text: &str) -> Option<(u64, u64)> {
    let (part, whole) = text
        .trim()
        .strip_prefix("bytes")?
        .trim_start()
        .split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last, whole) = (
        first.parse().ok()?,
        last.parse::<u64>().ok()?,
        whole.parse().ok()?,
    );
    (first <= last && last < whole).then_some((first, whole))
}

/// The URL that `Link: <URL>; rel="next"` names (RFC 8288).
fn next(text: &str) -> Option<&str> {
    text.split(',').find_map(|link| {
        let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_whole_addresses_or_other_paths() {
        assert_eq!(origin("https://a:1/b?c"), "https://a:1");
        assert_eq!(origin("http://a"), "http://a");
        let from = |location| joined("https://hub/a/b", location);
        assert_eq!(from("/c?d=e").as_deref(), Some("https://hub/c?d=e"));
        assert_eq!(from("https://cdn/f").as_deref(), Some("https://cdn/f"));
        for wrong in ["http://cdn/f", "//cdn/f", "f", "", "file:///etc/passwd"] {
            assert_eq!(from(wrong), None, "{wrong}");
        }
        assert!(joined("http://mirror/a", "http://mirror:2/b").is_some());
    }

    #[test]
    fn headers_are_read_as_the_standards_say() {
        assert_eq!(range("bytes 5-9/10"), Some((5, 10)));
        for wrong in [
            "bytes 5-9/*",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "5-9/10",
            "bytes */10",
            "",
        ] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
        let link = "<https://a/b?cursor=1>; rel=\"prev\", <https://a/b?cursor=2>; rel=\"next\"";
        assert_eq!(next(link), Some("https://a/b?cursor=2"));
        assert_eq!(next("<https://a/b>; rel=\"last\""), None);
        assert_eq!(next("nonsense"), None);
    }
}
