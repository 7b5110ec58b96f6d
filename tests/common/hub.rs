//! A hub on this machine, for tests: the paths of the Hugging Face hub over plain HTTP, and every way in which a network fails.

use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// The commit that every revision but `gone` is.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Files up to this many bytes are Git's own, larger ones in Git LFS.
const LARGEST_IN_GIT: usize = 1000;
/// Files on a page of a list.
const PAGE: usize = 4;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The first byte that is wanted.
    pub(crate) from: Option<usize>,
    pub(crate) token: Option<String>,
    /// How often this path was asked for before.
    pub(crate) before: usize,
}

/// How it is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// As the hub does.
    Right,
    /// With this status, and more headers.
    Status(u16, &'static str),
    /// So many bytes of the content; then the connection ends.
    Cut(usize),
    /// With the whole file, whatever part is asked for.
    Whole,
    /// With a byte that is another.
    Wrong,
    /// A file that is shorter, and says so.
    Short,
    /// Without a length, and without an end.
    Endless,
    /// A byte now and then.
    Slow,
    /// With headers that never end.
    SlowHead,
    /// Not at all.
    Silent,
    /// At another address.
    Elsewhere(String),
}

type Rule = dyn Fn(&Asked) -> Answer + Send;

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

struct State {
    /// Of every repository that is not in `named`.
    files: Files,
    named: BTreeMap<String, Files>,
    rule: Box<Rule>,
    asked: Vec<Asked>,
    sent: BTreeMap<String, usize>,
}

impl State {
    fn files_of(&self, owner: &str, name: &str) -> &Files {
        let named = self.named.get(&format!("{owner}/{name}"));
        named.unwrap_or(&self.files)
    }
}

/// Reads all files below a folder.
fn collect(folder: &Path, at: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = format!("{at}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

/// A hub that has one repository under every name, and others under their own. It ends with the test.
#[derive(Clone)]
pub(crate) struct Hub {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// A hub with these files, which answers as `rule` says.
    pub(crate) fn new(
        files: &[(&str, &[u8])],
        rule: impl Fn(&Asked) -> Answer + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let files = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        let hub = Self {
            address: format!("http://{}", listener.local_addr().expect("an address")),
            state: Arc::new(Mutex::new(State {
                files: files.collect(),
                named: BTreeMap::new(),
                rule: Box::new(rule),
                asked: Vec::new(),
                sent: BTreeMap::new(),
            })),
        };
        let answering = hub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = answering.clone();
                // A client that left early is no error here.
                thread::spawn(move || hub.serve(&stream).unwrap_or_default());
            }
        });
        hub
    }

    /// Adds the files of a folder to the repository of every name.
    #[allow(dead_code, reason = "not every test that shares it has a folder")]
    pub(crate) fn with_folder(self, folder: &Path) -> Self {
        collect(folder, "", &mut self.lock().files);
        self
    }

    /// Adds a repository with the files of a folder.
    #[allow(dead_code, reason = "not every test that shares it has a folder")]
    pub(crate) fn with_repository(self, name: &str, folder: &Path) -> Self {
        let mut files = Files::new();
        collect(folder, "", &mut files);
        self.lock().named.insert(name.to_owned(), files);
        self
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// Bytes of a file that were sent so far.
    pub(crate) fn sent(&self, file: &str) -> usize {
        self.lock().sent.get(file).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let line = lines.next().transpose()?.unwrap_or_default();
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut from, mut token) = (None, None);
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    from = value
                        .trim_start_matches("bytes=")
                        .trim_end_matches('-')
                        .parse()
                        .ok()
                }
                "authorization" => token = Some(value.to_owned()),
                _ => {}
            }
        }
        let (asked, answer) = {
            let mut state = self.lock();
            let before = state
                .asked
                .iter()
                .filter(|asked| asked.path == path)
                .count();
            let asked = Asked {
                path,
                from,
                token,
                before,
            };
            state.asked.push(asked.clone());
            let answer = (state.rule)(&asked);
            (asked, answer)
        };
        self.answer(stream, &asked, &answer)
    }

    fn answer(
        &self,
        mut stream: &TcpStream,
        asked: &Asked,
        answer: &Answer,
    ) -> std::io::Result<()> {
        let Some((file, content, link)) = self.content(&asked.path) else {
            return head(
                stream,
                "404 Not Found",
                "X-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n",
            );
        };
        let from = asked
            .from
            .filter(|_| !matches!(answer, Answer::Whole))
            .unwrap_or(0)
            .min(content.len());
        let (status, mut headers) = if from > 0 {
            let (last, whole) = (content.len() - 1, content.len());
            (
                "206 Partial Content",
                format!("Content-Range: bytes {from}-{last}/{whole}\r\n"),
            )
        } else {
            ("200 OK", String::new())
        };
        let mut content = content[from..].to_vec();
        match answer {
            Answer::Status(status, more) => {
                return head(
                    stream,
                    &format!("{status} No"),
                    &format!("{more}Content-Length: 0\r\n"),
                );
            }
            Answer::Elsewhere(address) => {
                let place = format!("Location: {address}{}\r\nContent-Length: 0\r\n", asked.path);
                return head(stream, "302 Found", &place);
            }
            Answer::Silent => {
                thread::sleep(Duration::from_secs(20));
                return Ok(());
            }
            Answer::SlowHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
                return drip(stream);
            }
            Answer::Short => content.truncate(content.len() - 1),
            Answer::Wrong => content[0] ^= 1,
            _ => {}
        }
        if !matches!(answer, Answer::Endless) {
            let _ = write!(headers, "Content-Length: {}\r\n", content.len());
        }
        head(stream, status, &(headers + &link))?;
        match answer {
            Answer::Slow => return drip(stream),
            Answer::Cut(bytes) => content.truncate(*bytes),
            _ => {}
        }
        stream.write_all(&content)?;
        if let Some(file) = file {
            *self.lock().sent.entry(file).or_default() += content.len();
        }
        if matches!(answer, Answer::Endless) {
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
        Ok(())
    }

    /// What is at a path: the file that it is of, its bytes, and a header.
    fn content(&self, path: &str) -> Option<(Option<String>, Vec<u8>, String)> {
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = place.trim_start_matches('/').splitn(5, '/').collect();
        match *parts.as_slice() {
            ["api", "models", owner, name, rest] => {
                let (kind, revision) = rest.split_once('/')?;
                match (kind, revision) {
                    (_, "gone") => None,
                    ("revision", _) => {
                        let text = format!(
                            "{{\"sha\":\"{COMMIT}\",\"cardData\":{{\"license\":\"mit\"}}}}"
                        );
                        Some((None, text.into_bytes(), String::new()))
                    }
                    ("tree", COMMIT) => {
                        let begin = query
                            .split_once("cursor=")
                            .map_or(Some(0), |(_, at)| at.parse().ok())?;
                        let state = self.lock();
                        let files = state.files_of(owner, name);
                        let entries = files
                            .iter()
                            .skip(begin)
                            .take(PAGE)
                            .map(|(name, bytes)| entry(name, bytes));
                        let text = format!("[{}]", entries.collect::<Vec<_>>().join(","));
                        let next = begin + PAGE;
                        let link = if next < files.len() {
                            format!(
                                "Link: <https://elsewhere{place}?recursive=true&cursor={next}>; rel=\"next\"\r\n"
                            )
                        } else {
                            String::new()
                        };
                        Some((None, text.into_bytes(), link))
                    }
                    _ => None,
                }
            }
            [owner, name, "resolve", COMMIT, file] => {
                let file = file.replace("%20", " ");
                let bytes = self.lock().files_of(owner, name).get(&file)?.clone();
                Some((Some(file), bytes, String::new()))
            }
            _ => None,
        }
    }
}

fn head(mut stream: &TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").as_bytes())
}

/// A byte now and then, until nobody reads any more.
fn drip(mut stream: &TcpStream) -> std::io::Result<()> {
    for _ in 0..400 {
        stream.write_all(b"x")?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A file in the hub's list.
fn entry(name: &str, bytes: &[u8]) -> String {
    let hexadecimal = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let size = bytes.len();
    let object = [format!("blob {size}\0").as_bytes(), bytes].concat();
    let oid = hexadecimal(&Sha1::digest(object));
    let lfs = if size > LARGEST_IN_GIT {
        let sum = hexadecimal(&Sha256::digest(bytes));
        format!(",\"lfs\":{{\"oid\":\"{sum}\",\"size\":{size},\"pointerSize\":130}}")
    } else {
        String::new()
    };
    format!("{{\"type\":\"file\",\"oid\":\"{oid}\",\"size\":{size},\"path\":\"{name}\"{lfs}}}")
}
