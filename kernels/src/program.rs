//! The pages of the program itself.
//!
//! A program of tens of megabytes runs most of its code once, at the start, and what it touched stays in its resident set. Pages that
//! are mapped from a file and were never written lose nothing when they are freed: those that are needed again come back from the
//! system's cache of that file.

#![allow(unsafe_code, reason = "madvise")]

use crate::heap;

/// Frees all pages of the program and its libraries that can be read again. In a process whose [heap](heap::own) is not
/// for networks it does nothing.
pub fn release() {
    if heap::owned() {
        system::release();
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{c_int, c_void};
    use std::fs;

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    // madvise(2); mman.h
    const MADV_DONTNEED: c_int = 4;

    pub(super) fn release() {
        let Ok(maps) = fs::read_to_string("/proc/self/smaps") else {
            return;
        };
        for Mapping { start, end, .. } in clean(&maps) {
            let address = std::ptr::without_provenance_mut(start);
            // SAFETY: nothing was written to these pages and nothing can be, so that each read of them, before and after, gives
            // what the file has. The mapping is of the program or a library, which stay where they are until the process ends:
            // nobody here calls dlclose. An error changes nothing.
            unsafe { madvise(address, end - start, MADV_DONTNEED) };
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Mapping<'a> {
        pub(super) start: usize,
        pub(super) end: usize,
        permissions: &'a str,
        /// Device and number.
        file: (&'a str, &'a str),
        /// Whether pages of it are no longer the file's.
        changed: bool,
    }

    /// Of `smaps` (proc_pid_smaps(5)): what is mapped of files of which something can be run, is for reading alone, and is all as in
    /// the file. Not so are the tables that the linker filled in and then protected.
    pub(super) fn clean(smaps: &str) -> Vec<Mapping<'_>> {
        let mut all: Vec<Mapping<'_>> = Vec::new();
        for line in smaps.lines() {
            if let Some(mapping) = header(line) {
                all.push(mapping);
            } else if let Some(("Anonymous" | "Swap", amount)) = line.split_once(':')
                && let Some(last) = all.last_mut()
            {
                last.changed |= amount.trim() != "0 kB";
            }
        }
        let run: Vec<_> = all.iter().filter(|mapping| mapping.runs()).collect();
        let files: Vec<_> = run.iter().map(|mapping| mapping.file).collect();
        all.retain(|mapping| {
            !mapping.changed && !mapping.writes() && files.contains(&mapping.file)
        });
        all
    }

    fn header(line: &str) -> Option<Mapping<'_>> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16).ok());
        let permissions = words.next()?;
        let _offset = words.next()?;
        Some(Mapping {
            start: start?,
            end: end?,
            permissions,
            file: (words.next()?, words.next()?),
            changed: false,
        })
    }

    impl Mapping<'_> {
        fn runs(&self) -> bool {
            self.permissions.contains('x') && self.file.1 != "0"
        }

        fn writes(&self) -> bool {
            self.permissions.contains('w')
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn release() {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::clean;

    const SMAPS: &str = "\
5000-6000 r--p 00000000 fe:00 77   /usr/bin/easel
Anonymous:             0 kB
Swap:                  0 kB
6000-8000 r-xp 00001000 fe:00 77   /usr/bin/easel
Rss:                   8 kB
Anonymous:             0 kB
Swap:                  0 kB
8000-9000 r--p 00003000 fe:00 77   /usr/bin/easel
Anonymous:             4 kB
Swap:                  0 kB
9000-a000 r--p 00004000 fe:00 77   /usr/bin/easel
Anonymous:             0 kB
Swap:                  4 kB
a000-b000 rw-p 00005000 fe:00 77   /usr/bin/easel
Anonymous:             0 kB
Swap:                  0 kB
b000-c000 r--p 00000000 fe:00 99   /srv/model.onnx_data
Anonymous:             0 kB
Swap:                  0 kB
c000-d000 r-xp 00000000 00:00 0    [vdso]
Anonymous:             0 kB
Swap:                  0 kB
";

    #[test]
    fn what_was_changed_can_be_changed_or_is_no_program_stays() {
        let ranges: Vec<_> = clean(SMAPS).iter().map(|m| (m.start, m.end)).collect();
        assert_eq!(ranges, [(0x5000, 0x6000), (0x6000, 0x8000)]);
    }

    #[test]
    fn nonsense_is_no_mapping() {
        for text in [
            "",
            "\n",
            "Anonymous: 4 kB",
            "x-y r-xp 0 fe:00 7",
            "1-2 r-xp",
            "5000",
        ] {
            assert_eq!(clean(text), [], "{text:?}");
        }
    }

    #[test]
    fn the_program_goes_on_with_fewer_pages() {
        let resident = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssFile:"));
            let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            kib.expect("a line of KiB").parse().expect("a number")
        };
        let own = std::fs::read_to_string("/proc/self/smaps").expect("Linux");
        assert!(!clean(&own).is_empty());
        let before = resident();
        super::system::release();
        let after = resident();
        assert!(after < before, "{before} KiB, then {after}");
    }
}
