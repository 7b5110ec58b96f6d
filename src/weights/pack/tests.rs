use super::*;

fn open(path: &Path, key: &str) -> Option<Pack> {
    Pack::open(path, key).expect("it is ours")
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("cache/net.pack");
    let mut writer = PackWriter::create(&path, "key", 2).expect("it can be written");
    let graph = writer.block(b"graph").expect("it can be written");
    writer.set_graph(graph);
    let panels = writer.block(&[7; 200]).expect("it can be written");
    let scales = writer.block(&[0; 8]).expect("it can be written");
    let weight = PackedWeight {
        name: "w".into(),
        int8: true,
        gated: false,
        shape: (2, [1, 1, 100]),
        parts: vec![PackedPart {
            columns: 0..2,
            panels,
        }],
        scales: Some(scales),
        sums: Some(scales),
        bias: None,
    };
    writer.set_weight(1, weight);
    writer.finish().expect("it can be written");
    path
}

#[test]
fn a_cache_gives_back_what_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path());
    assert!(open(&path, "another").is_none());
    let pack = open(&path, "key").expect("it is whole");
    assert_eq!(pack.graph().expect("it is there"), b"graph");
    let weight = pack.weight(1).expect("it is there");
    let block = weight.parts[0].panels;
    assert_eq!(block.offset() % ALIGNMENT, 0);
    let mut bytes = vec![0; block.bytes()];
    pack.read(&block, &mut bytes).expect("it is there");
    assert_eq!(bytes, [7; 200]);
}

/// A byte changed or the file cut anywhere: it is not opened, or its pieces are refused, and it never comes back wrong.
#[test]
fn no_damage_goes_unnoticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path());
    let whole = fs::read(&path).expect("it is there");
    let look = |bytes: &[u8]| -> Result<(), ()> {
        fs::write(&path, bytes).map_err(drop)?;
        let pack = open(&path, "key").ok_or(())?;
        let graph = pack.graph().map_err(drop)?;
        let block = pack.weight(1).map_err(drop)?.parts[0].panels;
        let mut panels = vec![0; block.bytes()];
        pack.read(&block, &mut panels).map_err(drop)?;
        assert_eq!((&graph[..], &panels[..]), (&b"graph"[..], &[7; 200][..]));
        Ok(())
    };
    look(&whole).expect("nothing is wrong with it");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let _ = look(&damaged);
        let _ = look(&whole[..at]);
    }
    fs::write(&path, &whole).expect("it can be written");
    let pack = open(&path, "key").expect("it is whole");
    let block = pack.weight(1).expect("it is there").parts[0].panels;
    let mut other = whole;
    other[block.offset() as usize + 9] = 0;
    fs::write(&path, &other).expect("it can be written");
    let read = pack.read(&block, &mut vec![0; block.bytes()]);
    assert!(matches!(read, Err(PackError::Damaged { .. })), "{read:?}");
    assert!(!path.exists(), "it is made again");
}

#[test]
fn a_cache_that_others_can_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path());
    let known = fs::metadata(&path).expect("it is there");
    assert_eq!(known.permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("it is ours");
    let said = Pack::open(&path, "key").expect_err("others can write it");
    assert!(said.contains("net.pack"), "{said}");
}

/// An index that says what its file does not have.
#[test]
fn pieces_lie_within_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path());
    let pack = open(&path, "key").expect("it is whole");
    let length = pack.file.metadata().expect("it is open").len();
    let weight = pack.weight(1).expect("it is there");
    assert!(weight.is_within(length));
    type Change = fn(&mut PackedWeight);
    let changes: [Change; 12] = [
        |w| w.parts[0].panels.offset = u64::MAX,
        |w| w.parts[0].panels.length = u64::MAX,
        |w| w.parts[0].panels.offset = 0,
        |w| w.parts[0].columns = 0..3,
        |w| w.parts[0].columns = 1..2,
        |w| w.parts.clear(),
        |w| w.parts.push(w.parts[0].clone()),
        |w| w.shape = (2, [usize::MAX, 1, 100]),
        |w| w.shape = (2, [1, 0, 100]),
        |w| w.shape.0 = 1 << 40,
        |w| w.scales = None,
        |w| w.int8 = false,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut wrong = weight.clone();
        change(&mut wrong);
        assert!(!wrong.is_within(length), "{number}");
    }
}
