//! A model's lexicon, and prompts that are read by it: the first half is the file, or the default model's where it is none.
#![no_main]

use easel::fuzzing::lexicon;
use libfuzzer_sys::fuzz_target;

const POCKET: &str = include_str!("../../models/pocket/lexicon.json");

fuzz_target!(|input: (&str, &str, u64)| {
    let (file, prompt, seed) = input;
    lexicon(file, prompt, seed);
    // A shorter one would be made each time: reading the default model's takes milliseconds.
    if file.is_empty() {
        lexicon(POCKET, prompt, seed);
    }
});
