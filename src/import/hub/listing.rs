//! What a repository has: the commit that a revision is, and its files with sizes and hashes.

use std::ops::ControlFlow;

use serde::Deserialize;

use super::super::ImportError;
use super::connection::{Connection, Head, Sink, Trouble};
use super::name::{Name, is_safe_path};
use super::retries::Retries;
use crate::text::{excerpt, message};

/// Bytes of one page: the hub gives a thousand files a page.
const LONGEST_PAGE: usize = 8 << 20;
/// Pages and files of a repository, at most.
const MOST_PAGES: usize = 100;
const MOST_FILES: usize = 50_000;
/// How often a list is asked for: nothing is lost yet, and somebody may wait to see that there is no network.
const MOST_TRIES: u32 = 3;

/// A repository at one commit.
pub(super) struct Repository {
    /// 40 hexadecimal digits.
    pub(super) commit: String,
    pub(super) licence: Option<String>,
    pub(super) files: Vec<File>,
}

/// One of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Below the repository, with `/`; checked by [`is_safe_path`].
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) hash: Hash,
}

/// What a file's content must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// Of the content.
    Sha256(String),
    /// SHA-1 of Git's object: `blob SIZE\0` and the content.
    Git(String),
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    /// One or several: only a text is told.
    #[serde(default)]
    license: Option<serde_json::Value>,
    /// The name of one that is in no list.
    #[serde(default)]
    license_name: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// Asks what the repository has. `beat` is called all the time, and may end it.
pub(super) fn read(
    connection: &mut Connection<'_>,
    name: &Name,
    revision: &str,
    beat: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Repository, ImportError> {
    let url = connection.hub.revision_url(name, revision);
    let (found, _) = page::<Revision>(connection, &url, name, revision, beat)?;
    if !is_hexadecimal(&found.sha, 40) {
        return Err(nonsense(name, "the revision has no commit"));
    }
    let tree = connection.hub.tree_url(name, &found.sha);
    let mut files = Vec::new();
    let mut url = tree.clone();
    for _ in 0..MOST_PAGES {
        let (entries, next) = page::<Vec<Entry>>(connection, &url, name, revision, beat)?;
        files.extend(entries.into_iter().filter_map(file));
        if files.len() > MOST_FILES {
            break;
        }
        // Of the next page's address only what stands behind the question mark: a hub or mirror leads nowhere else.
        match next.as_deref().and_then(|next| next.split_once('?')) {
            Some((_, query)) if query.contains("cursor=") => {
                url = format!("{}?{query}", tree.split('?').next().unwrap_or_default());
            }
            _ => {
                files.sort_by(|one, other| one.path.cmp(&other.path));
                return Ok(Repository {
                    commit: found.sha,
                    licence: found.card.and_then(licence),
                    files,
                });
            }
        }
    }
    Err(nonsense(name, "it has far too many files"))
}

fn licence(card: Card) -> Option<String> {
    let stated = card.license.as_ref().and_then(|licence| licence.as_str());
    let name = match stated {
        Some("other") | None => card.license_name.as_deref().or(stated),
        stated => stated,
    };
    name.map(excerpt)
}

/// An entry that is a file with a name that can be taken; others are as if they were not there.
fn file(entry: Entry) -> Option<File> {
    let hash = match &entry.lfs {
        Some(lfs) => Hash::Sha256(
            lfs.oid
                .strip_prefix("sha256:")
                .unwrap_or(&lfs.oid)
                .to_ascii_lowercase(),
        ),
        None => Hash::Git(entry.oid.to_ascii_lowercase()),
    };
    let is_sound = match &hash {
        Hash::Sha256(sum) => is_hexadecimal(sum, 64),
        Hash::Git(sum) => is_hexadecimal(sum, 40),
    };
    let size = entry.lfs.map_or(entry.size, |lfs| lfs.size);
    let is_taken = entry.kind == "file" && is_sound && is_safe_path(&entry.path) && size <= 1 << 50;
    is_taken.then_some(File {
        path: entry.path,
        size,
        hash,
    })
}

fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn nonsense(name: &Name, problem: &str) -> ImportError {
    ImportError::Failed(message(&format!(
        "{name}: the hub's answer is not understood: {problem}"
    )))
}

/// Takes a page into memory.
struct Page<'a> {
    bytes: Vec<u8>,
    next: Option<String>,
    beat: &'a mut dyn FnMut() -> ControlFlow<()>,
}

impl Sink for Page<'_> {
    fn head(&mut self, head: &Head) -> Result<(), Trouble> {
        self.bytes.clear();
        self.next.clone_from(&head.next);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > LONGEST_PAGE {
            return Err(ImportError::Failed("the hub's answer does not end".to_owned()).into());
        }
        Ok(())
    }

    fn beat(&mut self) -> Result<(), ImportError> {
        match (self.beat)() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::Stopped),
        }
    }
}

/// Asks for a page of JSON, until it comes or patience ends. Also says what is behind it.
fn page<T: for<'de> Deserialize<'de>>(
    connection: &mut Connection<'_>,
    url: &str,
    name: &Name,
    revision: &str,
    beat: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(T, Option<String>), ImportError> {
    let mut page = Page {
        bytes: Vec::new(),
        next: None,
        beat,
    };
    let mut patience = connection.hub.patience;
    patience.tries = patience.tries.min(MOST_TRIES);
    let mut retries = Retries::new(patience);
    loop {
        match connection.get(url, 0, &mut page) {
            Ok(()) => break,
            Err(Trouble::Again(problem, after)) => {
                retries.pause(&connection.hub.endpoint, &problem, after, &mut || {
                    page.beat()
                })?;
            }
            Err(Trouble::Refused(status, code)) => {
                return Err(refused(connection, name, revision, status, &code));
            }
            Err(Trouble::Ours(error)) => return Err(error),
        }
    }
    let parsed = serde_json::from_slice(&page.bytes);
    let parsed = parsed.map_err(|_| nonsense(name, "it is not the JSON that a hub sends"))?;
    Ok((parsed, page.next))
}

/// What a refusal means, and what helps.
pub(super) fn refused(
    connection: &Connection<'_>,
    name: &Name,
    revision: &str,
    status: u16,
    code: &str,
) -> ImportError {
    let page = connection.hub.page(name);
    let tokens = format!("{}/settings/tokens", connection.hub.endpoint);
    let has_token = connection.hub.token.is_some();
    ImportError::Bad(match (status, code) {
        (_, "RevisionNotFound") => format!("{name}: has no revision {revision}: see {page}"),
        (401 | 403, "GatedRepo") | (403, _) => {
            let token = if has_token {
                "with the account of your token".to_owned()
            } else {
                format!("then make a token at {tokens} and set HF_TOKEN to it")
            };
            format!(
                "{name}: is only for those who accepted its terms: accept them at {page}, {token}"
            )
        }
        (401, _) if has_token => {
            format!(
                "{name}: is not there, or your token (HF_TOKEN) is not valid or not for it: see {page} and {tokens}"
            )
        }
        (401, _) => {
            format!(
                "{name}: is not there, or not for everyone: check the name at {page}; if you have access, make a token at {tokens} and set HF_TOKEN to it"
            )
        }
        (404, _) => {
            format!("{name}: is not there, or has no revision {revision}: check it at {page}")
        }
        _ => format!(
            "{name}: {} answers with HTTP {status}: check the address in HF_ENDPOINT",
            connection.hub.endpoint
        ),
    })
}
