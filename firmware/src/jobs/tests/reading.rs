//! The journal's bytes, whole and damaged.

use super::model::{Operation, operation, run};
use super::{Clock, open, open_on};
use crate::jobs::line::Line;
use crate::jobs::record::{HEADING, record};
use crate::jobs::tests::faulty_disk::FastDisk;
use crate::jobs::{Entry, JobId, Outcome, Reading, read_journal};
use proptest::prelude::*;
use std::fs;
use std::sync::Arc;

/// The journal that a queue wrote while the operations were done to it.
fn written(operations: &[Operation]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    for operation in operations {
        run(&mut queue, &mut clock, operation).expect("the disk is whole");
    }
    fs::read(folder.path().join("journal")).expect("it is there")
}

fn example() -> Vec<u8> {
    let push = |name, random| Operation::Push {
        name: Some(name),
        source: crate::jobs::Source::Mqtt,
        ttl: Some(9),
        random,
    };
    written(&[
        push(0, 1),
        push(1, 2),
        Operation::Take,
        Operation::Finish(Outcome::Done),
        Operation::Cancel(1),
        push(2, u64::MAX),
    ])
}

#[test]
fn a_journal_is_lines_of_length_crc_and_json() {
    let id: JobId = "a".parse().expect("it is right");
    let finished = Entry::Finished {
        id: id.clone(),
        outcome: Outcome::Error("no\nmemory".to_owned()),
        mark: None,
    };
    let mut bytes = HEADING.to_vec();
    // As versions before this one wrote it.
    let boot = None;
    bytes.extend(record(&[Entry::Next(7), Entry::Started { id, boot }]));
    bytes.extend(record(std::slice::from_ref(&finished)));
    // The CRCs as Python's zlib.crc32 has them.
    let text = "easel journal 1\n\
        00000023 1bce7df9 [{\"next\":7},{\"started\":{\"id\":\"a\"}}]\n\
        0000003a 3d7530de [{\"finished\":{\"id\":\"a\",\"outcome\":{\"error\":\"no\\nmemory\"}}}]\n";
    assert_eq!(String::from_utf8_lossy(&bytes), text);
    let reading = read_journal(&bytes);
    assert_eq!(reading.entries.last(), Some(&finished));
    assert_eq!((reading.entries.len(), reading.end), (3, bytes.len()));
}

#[test]
fn one_wrong_byte_takes_one_record_at_most() {
    let bytes = example();
    let whole = read_journal(&bytes);
    let waiting: Vec<String> = whole.jobs().iter().map(|job| job.id.to_string()).collect();
    assert_eq!(waiting, ["job-2"]);
    assert!(whole.entries.len() >= 7 && whole.damaged.is_empty() && whole.end == bytes.len());
    for at in 0..bytes.len() {
        for wrong in (0..8).map(|bit| bytes[at] ^ 1 << bit).chain([0, b'\n']) {
            let mut damaged = bytes.clone();
            damaged[at] = wrong;
            let reading = read_journal(&damaged);
            if !reading.understood {
                // The number of the format became another digit.
                assert!(at == HEADING.len() - 2 && wrong.is_ascii_digit());
                continue;
            }
            assert!(
                whole.entries.len() - reading.entries.len() <= 1,
                "byte {at}: {wrong}"
            );
            let mut rest = whole.entries.iter();
            // In order, and nothing that was not written.
            assert!(
                reading
                    .entries
                    .iter()
                    .all(|entry| rest.any(|whole| whole == entry))
            );
        }
    }
}

#[test]
fn a_damaged_journal_is_kept_and_written_anew_without_what_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal");
    let mut bytes = example();
    let at = bytes
        .windows(5)
        .position(|part| part == b"job-1")
        .expect("it is in");
    bytes[at] = b'g';
    fs::write(&journal, &bytes).expect("it can be written");
    let clock = Clock::new();
    let (queue, recovered) = open_on(Arc::new(FastDisk), folder.path(), &clock);
    assert_eq!((recovered.damaged, recovered.waiting), (1, 1));
    let problems = recovered.problems().join("\n");
    let kept = recovered.set_aside.expect("it is kept");
    assert!(
        problems.contains("1 records") && problems.contains("journal.set-aside-1"),
        "{problems}"
    );
    assert_eq!(fs::read(kept).expect("it is there"), bytes);
    drop(queue);
    // The second time nothing is wrong any more.
    let queue = open(folder.path(), &clock);
    assert_eq!(queue.len(), 1);
}

#[test]
fn what_is_no_journal_gets_another_name() {
    let newer = b"easel journal 2\n\x01\x02".to_vec();
    for wrong in [
        b"\x7fELF what is this\n".to_vec(),
        vec![0; 4096],
        newer,
        vec![b'\n'; 99],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("journal"), &wrong).expect("it can be written");
        fs::write(folder.path().join("journal.set-aside-1"), "older").expect("it can be written");
        let clock = Clock::new();
        let (queue, recovered) = open_on(Arc::new(FastDisk), folder.path(), &clock);
        assert!(queue.is_empty() && queue.painting().is_none());
        let kept = recovered.set_aside.clone().expect("it is kept");
        assert!(kept.ends_with("journal.set-aside-2"));
        assert_eq!(fs::read(kept).expect("it is there"), wrong);
        assert!(recovered.problems()[0].contains("begins empty"));
    }
}

#[test]
fn a_journal_that_the_disk_does_not_give_gets_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("journal")).expect("it can be made");
    let clock = Clock::new();
    let (queue, recovered) = open_on(Arc::new(FastDisk), folder.path(), &clock);
    assert!(queue.is_empty());
    let kept = recovered.set_aside.expect("it is kept");
    assert!(kept.is_dir() && kept.ends_with("journal.set-aside-1"));
    drop(queue);
    drop(open(folder.path(), &clock));
}

#[test]
fn a_heading_that_is_damaged_costs_no_record() {
    let mut bytes = example();
    bytes[3] = 0;
    let reading = read_journal(&bytes);
    assert_eq!(reading.damaged, vec![0..HEADING.len()]);
    assert_eq!(reading.entries, read_journal(&example()).entries);
}

#[test]
fn zeros_where_a_record_was_to_be_are_cut_off() {
    // What a file system leaves that had given out the blocks and not yet the bytes.
    let mut bytes = example();
    let end = bytes.len();
    bytes.extend([0; 4096]);
    let reading = read_journal(&bytes);
    assert!(reading.end == end && reading.damaged.is_empty());
    bytes.push(b'\n');
    bytes.extend(record(&[Entry::Next(99)]));
    let reading = read_journal(&bytes);
    assert_eq!(reading.damaged, vec![end..end + 4097]);
    assert_eq!(reading.entries.last(), Some(&Entry::Next(99)));
}

/// Bytes that begin to look like a journal.
fn nearly_a_journal() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(HEADING.to_vec()),
        Just(b"\n".to_vec()),
        Just(b"00000000 00000000 \n".to_vec()),
        Just(b"ffffffff 00000000 ".to_vec()),
        Just(record(&[])),
        any::<u64>().prop_map(|next| record(&[Entry::Next(next)])),
        Just(b"00000004 25cbfc4f null\n".to_vec()),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn is_sound(bytes: &[u8], reading: &Reading) {
    assert!(reading.end <= bytes.len());
    let mut before = 0;
    for range in &reading.damaged {
        assert!(before <= range.start && range.start < range.end && range.end < reading.end);
        before = range.end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_can_be_read(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        nearly_a_journal(),
    ]) {
        let reading = read_journal(&bytes);
        is_sound(&bytes, &reading);
        // What is cut off and written on is read.
        if reading.understood && reading.end >= HEADING.len() {
            let mut bytes = bytes[..reading.end].to_vec();
            bytes.extend(record(&[Entry::Next(1)]));
            let again = read_journal(&bytes);
            prop_assert_eq!(again.entries.len(), reading.entries.len() + 1);
            prop_assert_eq!(again.damaged, reading.damaged);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Records that are lost make no state that cannot be written and read.
    #[test]
    fn a_line_is_its_entries_whatever_is_lost(
        operations in proptest::collection::vec(operation(), 1..60),
        lost in proptest::collection::vec(any::<bool>(), 400),
    ) {
        let mut line = Line::default();
        let entries = read_journal(&written(&operations)).entries;
        for (entry, _) in entries.into_iter().zip(lost).filter(|(_, lost)| !lost) {
            line.apply(entry);
        }
        let mut again = Line::default();
        for entry in line.as_entries() {
            again.apply(entry);
        }
        prop_assert_eq!(again, line);
    }
}
