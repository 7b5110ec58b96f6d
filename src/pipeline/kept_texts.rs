//! Embeddings of texts, kept beside the caches of networks: an encoder of gigabytes need not be read again for a prompt that comes again.
//!
//! A file is named by all that its content depends on: the network as it is cached, the ids, what does not count. It has
//!
//! ```text
//! "easeltxt" · tokens u32 · features u32 · positions before the padding u32 · CRC-32 of what follows · f32 × tokens × features
//! ```
//!
//! in little-endian bytes. What is not read for longest goes first when there is too much of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::files::{make_private_folder, only_ours, read_file, write_privately};
use crate::stages::TextEmbedding;
use crate::tokenizer::TokenIds;

const MAGIC: &[u8; 8] = b"easeltxt";
/// Bytes before the features.
const HEAD: usize = 24;
/// Bytes of all files. A prompt of 256 tokens of T5-XXL takes 4 MiB.
const MOST: u64 = 256 << 20;
/// Of them a single one may take a quarter.
const LARGEST: u64 = MOST / 4;

/// The embeddings that an encoder has made.
pub(super) struct KeptTexts {
    folder: PathBuf,
    /// What tells this encoder from others.
    key: String,
}

impl KeptTexts {
    /// In the folder of the model's caches; `key` is all that an embedding depends on beside the ids. `None` where somebody else could
    /// write.
    pub(super) fn of(caches: &Path, key: String) -> Option<Self> {
        let folder = caches.join("texts");
        if let Ok(known) = fs::symlink_metadata(&folder)
            && (known.is_symlink() || only_ours(&folder, &known).is_err())
        {
            return None;
        }
        Some(Self { folder, key })
    }

    fn path(&self, text: &TokenIds) -> PathBuf {
        let mut hash = Sha256::new_with_prefix(&self.key);
        for chunk in text.chunks() {
            hash.update((chunk.length as u64).to_le_bytes());
            let positions = chunk.ids.iter().zip(&chunk.weights);
            for (id, weight) in positions {
                hash.update(id.to_le_bytes());
                hash.update(weight.to_le_bytes());
            }
        }
        let name: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.folder.join(name)
    }

    /// The embedding of a text, if it is there and whole.
    pub(super) fn get(&self, text: &TokenIds) -> Option<TextEmbedding> {
        let path = self.path(text);
        let embedding = parse(&read_file(&path, LARGEST).ok()?);
        match &embedding {
            // It was wanted last now. Where the time cannot be set, it goes a little earlier.
            Some(_) => {
                drop(File::open(&path).and_then(|file| file.set_modified(SystemTime::now())))
            }
            None => drop(fs::remove_file(&path)),
        }
        embedding
    }

    /// Keeps an embedding. A card that is full costs this and nothing else.
    pub(super) fn put(&self, text: &TokenIds, embedding: &TextEmbedding) {
        let bytes = encode(embedding);
        if bytes.len() as u64 > LARGEST || make_private_folder(&self.folder).is_err() {
            return;
        }
        self.make_room(bytes.len() as u64);
        let _ = write_privately(&self.path(text), &bytes);
    }

    /// Removes what was not wanted for longest, until there is room for so many bytes more.
    fn make_room(&self, more: u64) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let known = entries.filter_map(|entry| {
            let known = entry.metadata().ok()?;
            let time = known.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            known.is_file().then(|| (time, known.len(), entry.path()))
        });
        let mut known: Vec<_> = known.collect();
        known.sort();
        let mut all = known
            .iter()
            .fold(more, |all, (_, length, _)| all.saturating_add(*length));
        for (_, length, path) in known {
            if all <= MOST {
                break;
            }
            if fs::remove_file(path).is_ok() {
                all -= length;
            }
        }
    }
}

fn encode(embedding: &TextEmbedding) -> Vec<u8> {
    let features: Vec<u8> = embedding
        .data
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut bytes = Vec::with_capacity(HEAD + features.len());
    bytes.extend(MAGIC);
    for number in [embedding.tokens, embedding.width, embedding.length] {
        bytes.extend((number as u32).to_le_bytes());
    }
    bytes.extend(crc32fast::hash(&features).to_le_bytes());
    bytes.extend(features);
    bytes
}

fn parse(bytes: &[u8]) -> Option<TextEmbedding> {
    let (head, features) = bytes.split_at_checked(HEAD)?;
    let (magic, numbers) = head.split_at(MAGIC.len());
    let (numbers, _) = numbers.as_chunks::<4>();
    let number = |at: usize| u32::from_le_bytes(numbers[at]);
    let (tokens, width) = (number(0) as usize, number(1) as usize);
    let length = number(2) as usize;
    let (values, rest) = features.as_chunks::<4>();
    let is_whole = magic == MAGIC
        && rest.is_empty()
        && tokens.checked_mul(width) == Some(values.len())
        && length <= tokens
        && crc32fast::hash(features) == number(3);
    let data: Vec<f32> = values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect();
    (is_whole && data.iter().all(|value| value.is_finite())).then_some(TextEmbedding {
        tokens,
        width,
        data,
        pooled: Vec::new(),
        length,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tokenizer::Chunk;

    fn text(id: u32) -> TokenIds {
        TokenIds::of(vec![Chunk {
            ids: vec![id, 1, 0],
            weights: vec![1.0; 3],
            length: 2,
        }])
    }

    fn embedding(first: f32) -> TextEmbedding {
        TextEmbedding {
            tokens: 3,
            width: 2,
            data: vec![first, 1.0, -2.5, 0.0, 1e-9, 7.0],
            pooled: Vec::new(),
            length: 2,
        }
    }

    fn kept(caches: &Path, key: &str) -> KeptTexts {
        KeptTexts::of(caches, key.to_owned()).expect("it is ours")
    }

    #[test]
    fn what_was_kept_comes_back_for_the_same_text_of_the_same_encoder() {
        let caches = tempfile::tempdir().expect("a folder");
        let texts = kept(caches.path(), "one");
        assert_eq!(texts.get(&text(5)), None);
        texts.put(&text(5), &embedding(0.1));
        assert_eq!(texts.get(&text(5)), Some(embedding(0.1)));
        assert_eq!(texts.get(&text(6)), None);
        assert_eq!(kept(caches.path(), "two").get(&text(5)), None);
    }

    #[test]
    fn what_is_damaged_is_made_anew() {
        let caches = tempfile::tempdir().expect("a folder");
        let texts = kept(caches.path(), "one");
        let whole = encode(&embedding(0.1));
        assert_eq!(parse(&whole), Some(embedding(0.1)));
        for length in [0, 7, HEAD - 1, HEAD, whole.len() - 4, whole.len() - 1] {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        for place in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[place] ^= 4;
            assert_ne!(parse(&wrong), Some(embedding(0.1)), "{place}");
        }
        let mut not_finite = embedding(f32::NAN);
        not_finite.length = 1;
        assert_eq!(parse(&encode(&not_finite)), None);
        texts.put(&text(5), &embedding(0.1));
        fs::write(texts.path(&text(5)), "rubbish").expect("room");
        assert_eq!(texts.get(&text(5)), None);
        assert!(!texts.path(&text(5)).exists());
    }

    #[test]
    fn what_is_wanted_least_goes_first() {
        let caches = tempfile::tempdir().expect("a folder");
        let texts = kept(caches.path(), "one");
        let now = SystemTime::now();
        for (id, age) in [(1, 50), (2, 40), (3, 30)] {
            texts.put(&text(id), &embedding(0.0));
            let file = File::options().write(true).open(texts.path(&text(id)));
            let file = file.expect("it was kept");
            // As long as a third of all, without taking the room.
            file.set_len(MOST / 3).expect("a sparse file");
            let time = now - Duration::from_secs(age);
            file.set_modified(time).expect("it is ours");
        }
        texts.make_room(1 << 20);
        let there = [1, 2, 3].map(|id| texts.path(&text(id)).exists());
        assert_eq!(there, [false, true, true]);
    }
}
