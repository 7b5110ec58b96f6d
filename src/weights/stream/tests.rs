use std::path::Path;

use super::super::pack::PackWriter;
use super::*;

/// A cache with parts of these sizes, each full of its own number.
fn pack(folder: &Path, sizes: &[usize]) -> (Arc<Pack>, Vec<Block>) {
    let path = folder.join("net.pack");
    let mut writer = PackWriter::create(&path, "key", 0).expect("it can be written");
    let blocks = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| writer.block(&vec![number as u8; *size]))
        .collect::<Result<_, _>>()
        .expect("it can be written");
    writer.finish().expect("it can be written");
    let pack = Pack::open(&path, "key")
        .expect("it is ours")
        .expect("it is whole");
    (Arc::new(pack), blocks)
}

fn check(stream: &Stream, part: usize, size: usize) {
    let right = stream.with(part, |bytes| {
        bytes.len() == size && bytes.iter().all(|byte| *byte == part as u8)
    });
    assert!(right.expect("it can be read"), "part {part}");
}

const SIZES: [usize; 7] = [100, CHUNK, 64, 65, CHUNK / 2, CHUNK + 1, 0];

#[test]
fn parts_come_in_order_pass_after_pass_in_bounded_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pack, blocks) = pack(folder.path(), &SIZES);
    for memory in [0, 3 * CHUNK, 100 * CHUNK] {
        let storage = Storage::default();
        let stream = Stream::start(pack.clone(), &blocks, memory, &storage).expect("a thread");
        for _ in 0..3 {
            for (part, size) in SIZES.into_iter().enumerate() {
                check(&stream, part, size);
            }
        }
        let most = 3 * SIZES.iter().sum::<usize>() + memory.max(2 * (CHUNK + 1)) + 1000;
        let read = storage.read.load(Ordering::Relaxed) as usize;
        assert!(read < most, "each once a pass");
    }
}

#[test]
fn any_order_gives_the_right_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pack, blocks) = pack(folder.path(), &SIZES);
    let stream = Stream::start(pack, &blocks, 0, &Storage::default()).expect("a thread");
    let mut number = 1_usize;
    for _ in 0..300 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let part = (number >> 33) % SIZES.len();
        check(&stream, part, SIZES[part]);
    }
}

#[test]
fn small_neighbours_are_read_at_once_and_others_are_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pack, blocks) = pack(folder.path(), &[64; 9]);
    let (some, places) = chunks(&blocks);
    assert_eq!((some.len(), some[0].length), (1, 9 * 64));
    assert_eq!(places[8], (0, 512..576));
    let some: Vec<_> = [0, 1, 4, 5, 8].map(|part| blocks[part]).into();
    assert_eq!(chunks(&some).0.len(), 3);
    let stream = Stream::start(pack, &some, 0, &Storage::default()).expect("a thread");
    let second = stream.with(2, |bytes| bytes[0]).expect("it can be read");
    assert_eq!(second, 4);
}

#[test]
fn a_file_cut_short_or_changed_is_an_error_and_never_wrong_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pack, blocks) = pack(folder.path(), &[CHUNK; 8]);
    let path = folder.path().join("net.pack");
    let stream = Stream::start(pack.clone(), &blocks, 0, &Storage::default()).expect("a thread");
    check(&stream, 0, CHUNK);
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    let file = file.expect("it is there");
    file.set_len(4 * CHUNK as u64).expect("it can be cut");
    for part in 1..3 {
        check(&stream, part, CHUNK);
    }
    let error = stream.with(5, |_| ()).expect_err("it is not there");
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(!path.exists(), "it will be made again");
    check(&stream, 0, CHUNK);

    use std::os::unix::fs::FileExt as _;
    file.write_all_at(&[0xff], blocks[1].offset() + 77)
        .expect("it can be changed");
    let stream = Stream::start(pack, &blocks, 0, &Storage::default()).expect("a thread");
    check(&stream, 0, CHUNK);
    let changed = stream.with(1, |_| ());
    assert!(
        matches!(changed, Err(PackError::Damaged { .. })),
        "{changed:?}"
    );
    check(&stream, 2, CHUNK);
}

#[test]
fn a_pace_is_kept() {
    let mut pace = Pace::new(1 << 20);
    let start = Instant::now();
    for _ in 0..4 {
        pace.wait(32 << 10);
    }
    // The first is taken to have come in the time before.
    assert!(
        start.elapsed() >= Duration::from_millis(93),
        "{:?}",
        start.elapsed()
    );
}
