//! What the board does by itself.

use super::finding::Finding;
use super::subject::Subject;
use crate::kiosk::PlaylistFile;

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let kiosk = &subject.config.kiosk;
    let mut names: Vec<String> = Vec::new();
    if let Some(path) = &kiosk.playlist {
        match PlaylistFile::new(path).changed() {
            Some(Ok(playlists)) => names.extend(playlists.into_iter().map(|list| list.name)),
            Some(Err(error)) => return vec![Finding::of_line(&error.to_string())],
            None => {}
        }
    }
    names.extend(kiosk.playlists.iter().map(|list| list.name.clone()));
    let on = if kiosk.enabled {
        "on"
    } else {
        "off until it is switched on"
    };
    vec![if !names.is_empty() {
        Finding::ok(format!("{}: {on}", names.join(", ")))
    } else if kiosk.enabled {
        let fix = "name a file with kiosk.playlist, or add [[kiosk.playlists]]";
        Finding::warn("on, but there is no playlist", fix)
    } else {
        Finding::ok("no playlist: the board paints when it is told to")
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;

    #[test]
    fn playlists_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = |text: &str| check(&subject(folder.path(), text)).remove(0);
        assert_eq!(found("").verdict, Verdict::Ok);
        assert_eq!(found("[kiosk]\nenabled = true").verdict, Verdict::Warn);
        let missing = found("[kiosk]\nplaylist = 'list.toml'");
        assert_eq!(missing.verdict, Verdict::Fail);
        assert!(missing.found.contains("list.toml"), "{missing:?}");
        let list = "[[playlists]]\nname = 'cats'\nprompts = ['a cat']\n";
        std::fs::write(folder.path().join("list.toml"), list).expect("it can be written");
        let found = found("[kiosk]\nplaylist = 'list.toml'\nenabled = true");
        assert_eq!(found, Finding::ok("cats: on"));
    }
}
