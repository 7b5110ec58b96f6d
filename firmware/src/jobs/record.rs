//! The journal's bytes: a heading, then a line a record, `LENGTH CRC JSON`, both numbers eight hexadecimal digits.
//!
//! `JSON` is a list of entries that become true together: a power cut leaves all of them or none.
//! `LENGTH` is that of the JSON in bytes, `CRC` its CRC-32 (ISO-HDLC, as in zlib and PNG). JSON as it is written here has
//! no line break in it, so that reading finds its place again at the next line after a damaged one, and people can
//! read a journal with any pager.

use super::line::Line;
use super::{Job, JobId, Mark, Outcome};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a journal begins; the number is that of the format.
pub(super) const HEADING: &[u8] = b"easel journal 1\n";

/// Bytes of JSON that a record may have. More than any prompt with any reply takes, except one made of control
/// characters.
pub const LARGEST_RECORD: usize = 512 * 1024;

/// `LENGTH CRC `.
const PREFIX: usize = 18;

/// Something that happened to the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// The next job gets this number. Stands first in a journal that was written anew.
    Next(u64),
    /// A job was accepted.
    Accepted(Box<Job>),
    /// Painting it was begun.
    Started {
        /// Which job.
        id: JobId,
        /// In which start of the machine, where that is known; journals of before have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
    },
    /// The program was told to stop in the middle of it. Nothing follows from it any more; journals of before have it.
    Excused {
        /// Which job.
        id: JobId,
    },
    /// Painting it was given up for now, and that is not its fault.
    Released {
        /// Which job.
        id: JobId,
    },
    /// The program was told to stop and ends without the painter, which did not stop: it waits again.
    Unstopped {
        /// Which job.
        id: JobId,
    },
    /// The program ended in the middle of it, and has been started again.
    Interrupted {
        /// Which job.
        id: JobId,
        /// Whether the whole machine had ended: by a power cut, most likely.
        power: bool,
    },
    /// It is over.
    Finished {
        /// Which job.
        id: JobId,
        /// How it ended.
        outcome: Outcome,
        /// What it was, where no entry before says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<Mark>,
    },
}

impl Entry {
    /// A job of which the journal has what it was is over.
    pub(super) fn finished(id: JobId, outcome: Outcome) -> Self {
        let mark = None;
        Self::Finished { id, outcome, mark }
    }
}

/// A record without its frame.
pub(super) fn json(entries: &[Entry]) -> String {
    serde_json::to_string(entries).expect("an entry has no maps, and nothing that refuses")
}

/// The record of entries that become true together.
pub(super) fn record(entries: &[Entry]) -> Vec<u8> {
    let json = json(entries);
    let crc = crc32fast::hash(json.as_bytes());
    format!("{:08x} {crc:08x} {json}\n", json.len()).into_bytes()
}

/// What a journal says.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// What could be read, in order.
    pub entries: Vec<Entry>,
    /// Where something stands that is no record, with records after it.
    pub damaged: Vec<Range<usize>>,
    /// Where the last record ends; what is behind was being written when the power went.
    pub end: usize,
    /// Whether it is a journal of this format. If not, the rest is empty.
    pub understood: bool,
}

impl Reading {
    /// The jobs that wait by what it says, in the order of painting; the one that was being painted is among them.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        let mut line = Line::default();
        for entry in &self.entries {
            line.apply(entry.clone());
        }
        line.put_back(false);
        line.waiting().cloned().collect()
    }
}

/// Reads a journal, whatever its bytes are.
///
/// A damaged record is left out and reading goes on at the next line. A heading that is damaged is no reason to give up
/// records that are whole; a heading of another format is.
#[must_use]
pub fn read_journal(bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut at = 0;
    if bytes.starts_with(HEADING) {
        at = HEADING.len();
        reading.understood = true;
    } else if HEADING.starts_with(bytes) {
        // Cut off before there was a record.
        reading.understood = true;
        return reading;
    } else if is_of_another_format(bytes) {
        return reading;
    }
    reading.end = at;
    // Where damage begins that has not been found to have a record after it.
    let mut damage = None;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some((entries, length)) = first_record(rest) {
            if let Some(start) = damage.take() {
                reading.damaged.push(start..at);
            }
            reading.entries.extend(entries);
            at += length;
            reading.end = at;
            reading.understood = true;
        } else {
            damage.get_or_insert(at);
            at += rest
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(rest.len(), |newline| newline + 1);
        }
    }
    reading
}

/// `easel journal `, a number that is not ours, and a line break.
fn is_of_another_format(bytes: &[u8]) -> bool {
    let name = &HEADING[..HEADING.len() - 2];
    let number = bytes
        .strip_prefix(name)
        .and_then(|rest| rest.split(|&byte| byte == b'\n').next());
    number.is_some_and(|number| {
        (1..=4).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
    })
}

/// The record that `bytes` begin with, and how many of them it takes.
///
/// It has a byte behind its JSON: without, it is not whole, and nobody was told that it is safe. That byte may be wrong,
/// the length tells where the next record is.
fn first_record(bytes: &[u8]) -> Option<(Vec<Entry>, usize)> {
    let prefix = bytes.get(..PREFIX)?;
    let length = usize::try_from(hexadecimal(&prefix[..8])?).ok()?;
    let crc = hexadecimal(&prefix[9..17])?;
    if prefix[8] != b' ' || prefix[17] != b' ' || length > LARGEST_RECORD {
        return None;
    }
    let whole = bytes.get(..PREFIX + length + 1)?;
    let json = &whole[PREFIX..PREFIX + length];
    // No line break within, so that what is wrong is looked through once, not once a line.
    if json.contains(&b'\n') || crc32fast::hash(json) != crc {
        return None;
    }
    Some((serde_json::from_slice(json).ok()?, whole.len()))
}

/// Eight digits as they are written here: lower case, no sign.
fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u32::from(digit))
    })
}
