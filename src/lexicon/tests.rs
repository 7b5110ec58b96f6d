//! Prompts as people type them, read by the default model's lexicon.

#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const FILE: &str = include_str!("../../models/pocket/lexicon.json");

static POCKET: LazyLock<Lexicon> = LazyLock::new(|| {
    let usual = ["blue", "green", "white"].map(str::to_owned);
    Lexicon::parse(FILE, &usual).unwrap()
});

fn read(prompt: &str) -> Reading {
    let reading = POCKET.reading(prompt, 1);
    reading.unwrap_or_else(|| panic!("{prompt}: nothing is known"))
}

/// What is painted without a word.
fn silent(prompt: &str) -> String {
    let reading = read(prompt);
    assert_eq!(reading.warnings, Vec::<String>::new(), "{prompt}");
    reading.text
}

#[test]
fn the_models_own_words_stay_as_they_are() {
    for prompt in [
        "three red apples on a blue background",
        "a cat on a green background",
        "Two rockets on black",
        "four stars on a purple background at night",
        "a dog next to a house on turquoise",
        "four mushrooms, pixel art, on orange",
        "a small snowman at the bottom on a blue background",
        "three owls in pastel colours on white",
        "a painting of one cactus with a corn, purple background, night style",
        "large yellow birthday cake in front of a purple wall in the dark",
        "a (cat:1.3) on a [blue] background",
    ] {
        assert_eq!(silent(prompt), prompt);
    }
}

#[test]
fn a_prompt_without_a_background_gets_one_by_its_seed() {
    let cats: Vec<String> = (0..40)
        .map(|seed| POCKET.reading("a cat", seed).unwrap().text)
        .collect();
    for colour in ["blue", "green", "white"] {
        let expected = format!("a cat on a {colour} background");
        assert!(cats.contains(&expected), "{expected}");
    }
    assert_eq!(POCKET.reading("a cat", 5), POCKET.reading("a cat", 5));
    // Green on green is not seen.
    for seed in 0..40 {
        let reading = POCKET.reading("a green cat", seed).unwrap();
        assert!(
            !reading.text.contains("green background"),
            "{}",
            reading.text
        );
    }
}

#[test]
fn other_words_for_the_same_are_read_without_a_word() {
    for (prompt, expected) in [
        (
            "a bike on a red background",
            "a bicycle on a red background",
        ),
        ("two planes on blue", "two airplanes on a blue background"),
        (
            "show me a donut, please, on grey",
            "a doughnut on a gray background",
        ),
        ("cats on white", "two cats on a white background"),
        ("3 bikes on white", "three bicycles on a white background"),
        (
            "a fire engine beside a present on black",
            "a fire truck and a gift on a black background",
        ),
        (
            "a car to the right of a house on white",
            "a house and a car on a white background",
        ),
        (
            "a huge violet cat on pink",
            "a large purple cat on a pink background",
        ),
        ("book on yellow", "a stack of books on a yellow background"),
        (
            "pink background and a panda",
            "a panda on a pink background",
        ),
        (
            "an owl with a purple background",
            "an owl on a purple background",
        ),
        (
            "a dog, a cat on blue",
            "a dog and a cat on a blue background",
        ),
        (
            "a tent with green behind it",
            "a tent on a green background",
        ),
    ] {
        assert_eq!(silent(prompt), expected, "{prompt}");
    }
}

#[test]
fn languages_are_read_without_a_word() {
    for (prompt, expected) in [
        (
            "eine rote Katze auf blauem Grund",
            "a red cat on a blue background",
        ),
        ("drei Äpfel und ein Haus auf Weiß", ""),
        (
            "zwei Katzen auf grünem Hintergrund",
            "two cats on a green background",
        ),
        (
            "un gato rojo sobre fondo azul",
            "a red cat on a blue background",
        ),
        (
            "tres gatos sobre fondo blanco",
            "three cats on a white background",
        ),
        (
            "un chat et un chien sur fond jaune",
            "a cat and a dog on a yellow background",
        ),
        (
            "deux voitures sur fond noir",
            "two cars on a black background",
        ),
        (
            "due gatti su sfondo verde",
            "two cats on a green background",
        ),
        ("um cachorro em fundo azul", "a dog on a blue background"),
        (
            "twee honden op een rode achtergrond",
            "two dogs on a red background",
        ),
        ("кошка на синем фоне", "a cat on a blue background"),
        (
            "три красных яблока на белом фоне",
            "three red apples on a white background",
        ),
        ("dwa koty na zielonym tle", "two cats on a green background"),
        ("青い背景に赤い猫", "a red cat on a blue background"),
        ("白い背景に猫が二匹", "two cats on a white background"),
        ("蓝色背景上的两只猫", "two cats on a blue background"),
        (
            "파란 배경에 고양이 두 마리",
            "two cats on a blue background",
        ),
        (
            "mavi arka planda kırmızı bir elma",
            "a red apple on a blue background",
        ),
        (
            "två katter på blå bakgrund",
            "two cats on a blue background",
        ),
        (
            "piros alma kék háttérrel",
            "a red apple on a blue background",
        ),
        ("δύο γάτες σε μπλε φόντο", "two cats on a blue background"),
        (
            "două pisici pe fundal verde",
            "two cats on a green background",
        ),
        (
            "kaksi kissaa sinisellä taustalla",
            "two cats on a blue background",
        ),
        (
            "tři kočky na modrém pozadí",
            "three cats on a blue background",
        ),
    ] {
        if expected.is_empty() {
            // With another thing there is one of each, and that is said.
            assert_eq!(
                read(prompt).text,
                "an apple and a house on a white background"
            );
        } else {
            assert_eq!(silent(prompt), expected, "{prompt}");
        }
    }
}

#[test]
fn what_is_not_painted_as_asked_is_said() {
    for (prompt, painted, said) in [
        (
            "a cat and a lion on blue",
            "a cat on a blue background",
            "\"lion\" is not known and was left out",
        ),
        (
            "a qwrtzpl cat on blue",
            "a cat on a blue background",
            "\"qwrtzpl\" is not known and was left out",
        ),
        (
            "a kitten on blue",
            "a cat on a blue background",
            "\"kitten\" was read as \"cat\"",
        ),
        (
            "an elephent on blue",
            "an elephant on a blue background",
            "\"elephent\" was read as \"elephant\"",
        ),
        (
            "a buterfly on blue",
            "a butterfly on a blue background",
            "\"buterfly\" was read as \"butterfly\"",
        ),
        (
            "seven cats on blue",
            "four cats on a blue background",
            "cat: this model paints 4 of a kind at most",
        ),
        (
            "two cats and a dog on blue",
            "a cat and a dog on a blue background",
            "cat: this model paints 1 of a kind beside another thing at most",
        ),
        (
            "a cat, a dog and a house on blue",
            "a cat and a dog on a blue background",
            "this model paints 2 kinds of things in a picture: left out: house",
        ),
        (
            "a star above a house on blue",
            "a star and a house on a blue background",
            "\"above\": this model paints things side by side alone",
        ),
        (
            "a black cat on blue",
            "a cat on a blue background",
            "\"black\" was left out: this model does not paint things in that colour",
        ),
        (
            "a (kitten:1.5) on blue",
            "a cat on a blue background",
            "weights are not kept",
        ),
        (
            "eine Katze und ein Löwe auf Blau",
            "a cat on a blue background",
            "\"Löwe\" is not known and was left out",
        ),
        (
            "红色的猫和鳄鱼在蓝色背景上",
            "a red cat on a blue background",
            "\"鳄鱼\" is not known and was left out",
        ),
    ] {
        let reading = read(prompt);
        assert_eq!(reading.text, painted, "{prompt}: {:?}", reading.warnings);
        assert!(
            reading.warnings.iter().any(|w| w.starts_with(said)),
            "{prompt}: {:?}",
            reading.warnings
        );
    }
}

#[test]
fn what_other_programs_read_is_said_once() {
    let reading = read("eine Katze <lora:ink:1> auf Blau");
    assert_eq!(reading.text, "a cat on a blue background");
    assert!(
        reading.warnings.len() == 1 && reading.warnings[0].contains("<lora:ink:1>"),
        "{:?}",
        reading.warnings
    );
    // Whoever reads the text next says so.
    assert_eq!(
        silent("a cat <lora:ink:1> on blue"),
        "a cat <lora:ink:1> on blue"
    );
}

#[test]
fn words_that_are_merely_near_are_no_misspellings() {
    for word in [
        "horde", "beer", "board", "mouse", "bread", "fix", "bet", "bare", "pearl", "start",
        "stare", "coat", "goat", "tiger", "bride", "treat",
    ] {
        let reading = read(&format!("a {word} and a cat on blue"));
        let is_read_as = reading
            .warnings
            .iter()
            .find(|warning| warning.contains("was read as"));
        assert_eq!(is_read_as, None, "{word}");
    }
}

#[test]
fn of_nothing_that_is_known_there_is_no_picture() {
    for prompt in [
        "asdfgh",
        "?",
        "",
        "  ",
        "blue",
        "a red background",
        "the",
        "🦄",
        "一",
        "lighthouse in a storm",
    ] {
        assert_eq!(POCKET.reading(prompt, 0), None, "{prompt}");
    }
    let (things, example) = POCKET.examples();
    assert_eq!(things.split(", ").count(), 6);
    assert_eq!(silent(&example), example);
}

#[test]
fn long_prompts_are_read_in_bounds() {
    for unit in ["kat ", "猫犬", "x", "elefantt ", "a cat, ", "ネ", "в "] {
        let prompt = unit.repeat((64 << 10) / unit.len());
        if let Some(reading) = POCKET.reading(&prompt, 3) {
            assert!(reading.warnings.len() < 12, "{:?}", reading.warnings);
            assert!(reading.warnings.iter().all(|w| w.len() < 600));
        }
    }
}

#[test]
fn a_lexicon_that_is_wrong_is_refused_in_a_line() {
    let parse = |text: &str| Lexicon::parse(text, &[]).unwrap_err();
    let changed = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        parse(&FILE.replacen(from, to, 1))
    };
    for (problem, part) in [
        (parse(""), "is no lexicon"),
        (parse("[]"), "is no lexicon"),
        (changed("\"format\":1", "\"format\":2"), "newer easel"),
        (
            changed("\"format\":1", "\"format\":1,\"extra\":1"),
            "unknown field `extra`",
        ),
        (changed("\"kinds\":2", "\"kinds\":0"), "`limits.kinds`: 0"),
        (
            changed("\"language\":\"en\"", "\"language\":\"xx\""),
            "`language` is xx",
        ),
        (
            changed(
                "\"apple\":\"apples\"",
                &format!("\"apple\":\"{}\"", "a".repeat(200)),
            ),
            "200 bytes",
        ),
        (
            changed("\"apple\":\"apples\",", ""),
            "which the model does not know",
        ),
        (
            Lexicon::parse(FILE, &["mauve".into()]).unwrap_err(),
            "`backgrounds` of easel.json has mauve",
        ),
    ] {
        assert!(
            problem.contains(part) && !problem.contains('\n'),
            "{problem}"
        );
    }
}

/// Words that mean something, in some order.
fn soup() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("a".to_owned()),
        Just("two".to_owned()),
        Just("7".to_owned()),
        Just("cat".to_owned()),
        Just("Katzen".to_owned()),
        Just("猫".to_owned()),
        Just("red".to_owned()),
        Just("azul".to_owned()),
        Just("background".to_owned()),
        Just("above".to_owned()),
        Just(",".to_owned()),
        Just("and".to_owned()),
        Just("(tiny:1.4)".to_owned()),
        Just("at night".to_owned()),
        Just("lion".to_owned()),
        "\\PC{0,8}",
    ];
    prop::collection::vec(word, 0..14).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read(prompt in "\\PC{0,80}", seed: u64) {
        if let Some(reading) = POCKET.reading(&prompt, seed) {
            prop_assert!(reading.text.len() <= prompt.len() + 200);
        }
    }

    /// What comes of a prompt is in the model's own words: read again, it stays, and there is nothing to be said of it.
    #[test]
    fn what_is_painted_is_in_the_models_words(prompt in soup(), seed: u64) {
        if let Some(reading) = POCKET.reading(&prompt, seed) {
            let again = POCKET.reading(&reading.text, seed).expect("it is known");
            prop_assert_eq!(&again.text, &reading.text, "of {:?}", prompt);
            prop_assert!(again.warnings.is_empty(), "{:?} of {:?}", again.warnings, reading.text);
        }
    }
}
