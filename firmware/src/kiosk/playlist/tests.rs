use super::*;
use crate::board::Config;
use crate::kiosk::{PlaylistFile, parse_playlists};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

fn playlist(body: &str) -> Playlist {
    let read = parse_playlists(&format!("[[playlists]]\nname = 'p'\n{body}"));
    read.unwrap_or_else(|problem| panic!("{body}: {problem}"))
        .remove(0)
}

fn first(playlist: &Playlist, count: usize) -> Vec<Order> {
    let mut position = Position::default();
    let mut orders = Vec::new();
    for _ in 0..count {
        let (wish, next) = playlist.next(&position, 9, None);
        let Wish::Paint(order) = wish else {
            panic!("{wish:?} is nothing to paint")
        };
        orders.push(order);
        position = next;
    }
    orders
}

fn prompts(playlist: &Playlist, count: usize) -> Vec<String> {
    let orders = first(playlist, count);
    orders.into_iter().map(|order| order.prompt).collect()
}

#[test]
fn in_sequence_each_prompt_comes_in_each_style() {
    let playlist = playlist(
        "order = 'sequential'\nprompts = ['a', 'b', 'c']\nstyles = ['{prompt}', '{prompt} x', '{prompt} y']",
    );
    let drawn = prompts(&playlist, 10);
    assert_eq!(
        drawn,
        ["a", "b x", "c y", "a x", "b y", "c", "a y", "b", "c x", "a"]
    );
}

#[test]
fn shuffled_prompts_come_once_a_round() {
    let playlist =
        playlist("prompts = ['a', 'b', 'c', 'd', 'e']\nstyles = ['{prompt} x', '{prompt} y']");
    let drawn = prompts(&playlist, 500);
    for round in drawn.chunks(5) {
        let letters: BTreeSet<char> = round
            .iter()
            .filter_map(|prompt| prompt.chars().next())
            .collect();
        assert_eq!(letters.len(), 5, "{round:?}");
    }
    let rounds: BTreeSet<_> = drawn.chunks(5).collect();
    assert!(
        rounds.len() > 50,
        "{} different rounds of 100",
        rounds.len()
    );
    let pairs: BTreeSet<_> = drawn.iter().collect();
    assert_eq!(pairs.len(), 10, "each prompt comes in each style");
}

#[test]
fn weights_decide_how_often() {
    let playlist = playlist(
        "order = 'weighted'\nprompts = ['a', { text = 'b', weight = 4 }, { text = 'c', weight = 0 }, 'd']\nstyles = ['{prompt} x', { text = '{prompt} y', weight = 9 }]",
    );
    let drawn = prompts(&playlist, 4000);
    let count = |part: &str| drawn.iter().filter(|prompt| prompt.contains(part)).count();
    assert!(drawn.windows(2).all(|two| two[0][..1] != two[1][..1]));
    assert_eq!(count("c"), 0);
    // b is never twice in a row, and comes with 4 of 5 after an a or a d: 4/9 of all.
    assert!((1650..1900).contains(&count("b")), "{}", count("b"));
    assert!((3500..3700).contains(&count("y")), "{}", count("y"));
}

#[test]
fn words_fill_slots() {
    let playlist = playlist(
        "prompts = ['a {colour} {thing}']\n[playlists.words]\ncolour = ['red', 'blue']\nthing = ['cat', 'dog', 'owl']",
    );
    let drawn: BTreeSet<String> = prompts(&playlist, 200).into_iter().collect();
    assert_eq!(drawn.len(), 6);
    assert!(drawn.contains("a blue owl"));
}

#[test]
fn a_variation_comes_in_its_turn() {
    let playlist = playlist(
        "order = 'sequential'\nprompts = ['a', { vary = true }, { vary = true, weight = 3 }]",
    );
    let mut position = Position::default();
    let mut varies = Vec::new();
    for _ in 0..4 {
        let (wish, next) = playlist.next(&position, 9, None);
        varies.push(wish == Wish::Vary);
        position = next;
    }
    assert_eq!(varies, [false, true, true, false]);
}

#[test]
fn seeds() {
    let seeds = |body: &str, count| -> Vec<Option<u64>> {
        let playlist = playlist(&format!(
            "order = 'sequential'\nprompts = ['a', 'b']\n{body}"
        ));
        first(&playlist, count)
            .into_iter()
            .map(|order| order.seed)
            .collect()
    };
    assert_eq!(seeds("", 2), [None, None]);
    assert_eq!(seeds("seeds = 'random'", 2), [None, None]);
    assert_eq!(
        seeds("seeds = { from = 7 }", 3),
        [Some(7), Some(8), Some(9)]
    );
    // Two prompts and two seeds: each prompt meets each seed.
    assert_eq!(
        seeds("seeds = [5, 6]", 4),
        [Some(5), Some(6), Some(6), Some(5)]
    );
}

#[test]
fn what_is_set_for_all_pictures() {
    let expected = Order {
        negative: Some("blur".into()),
        steps: Some(4),
        guidance: Some(1.5),
        size: Some((64, 96)),
        ..Order::new("a")
    };
    for settings in [
        "steps = 4\nguidance = 1.5\nsize = [64, 96]",
        "steps = 4.0\nguidance = '1.5'\nsize = '64x96'",
        "steps = '4'\nguidance = 1.5\nsize = [64.0, '96']",
    ] {
        let playlist = playlist(&format!("prompts = ['a']\nnegative = 'blur'\n{settings}"));
        assert_eq!(first(&playlist, 1)[0], expected, "{settings}");
    }
    // TOML's whole numbers end at 2^63-1.
    let listed = playlist("prompts = ['a']\nseeds = ['18446744073709551615', 7.0]");
    assert_eq!(listed.seeds, Seeds::Listed(vec![u64::MAX, 7]));
}

#[test]
fn wrong_values_are_named() {
    for (body, says) in [
        ("prompts = []", "prompts: is empty"),
        ("prompts = [{ vary = true }]", "write a text, too"),
        ("prompts = ['a', { vary = false }]", "vary = true"),
        ("prompts = [' ']", "prompts: has an empty text"),
        ("prompts = [\"a\\nb\"]", "prompts: write one line"),
        ("prompts = ['a {b}']", "add words.b"),
        ("prompts = ['a']\nwords = { b = [] }", "words.b: write 1"),
        ("prompts = ['a']\nwords = { 'b c' = ['d'] }", "name slots"),
        (
            "prompts = [{ text = 'a', weight = 0 }]",
            "prompts: all weigh 0",
        ),
        (
            "prompts = [{ text = 'a', weight = 1000001 }]",
            "give 0 to 1000000",
        ),
        ("prompts = [{ text = 'a' }]", "weight = 2"),
        ("prompts = ['a']\nseeds = []", "seeds: write"),
        ("prompts = ['a']\nseeds = 'none'", "seeds: write"),
        (
            "prompts = ['a']\nseeds = { from = 1, to = 2 }",
            "seeds: write",
        ),
        ("prompts = ['a']\nseeds = [-1]", "seeds: write"),
        ("prompts = ['a']\nseeds = [1.5]", "seeds: write"),
        ("prompts = ['a']\nsteps = 0", "steps: give 1 to 1000"),
        ("prompts = ['a']\nsteps = 4.5", "line 4: steps: give"),
        ("prompts = ['a']\nguidance = nan", "guidance: give 0 to 50"),
        ("prompts = ['a']\nguidance = -1", "guidance: give 0 to 50"),
        ("prompts = ['a']\nsize = [0, 64]", "size: give"),
        ("prompts = ['a']\norder = 'any'", "random"),
        (
            "prompts = ['a']\nhours = { from = '8:00' }",
            "missing field `to`",
        ),
        ("prompts = ['a']\ncolour = 'red'", "unknown field `colour`"),
        (
            "prompts = ['a']\n[[playlists]]\nname = 'p'\nprompts = ['b']",
            "comes twice",
        ),
    ] {
        let text = format!("[[playlists]]\nname = 'p'\n{body}");
        let problem = parse_playlists(&text).expect_err(body);
        assert!(problem.contains(says), "{problem}");
        assert!(
            problem.starts_with("\"p\": ") || problem.starts_with("line "),
            "{problem}"
        );
    }
}

/// `models/pocket/README.md`: English of at most 30 tokens, made of words that its tokenizer learned from its captions.
#[test]
fn the_shipped_playlist_suits_the_default_model() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // By way of what boards inherit, which names it.
    let board = repository.join("board-configs/simulator.toml");
    let config = Config::read(&board).unwrap_or_else(|error| panic!("{error}"));
    let file = config.kiosk.playlist.expect("base.toml has one");
    let read = PlaylistFile::new(file).changed().expect("it is new");
    let playlists = read.unwrap_or_else(|error| panic!("{error}"));
    let model = repository.join("models/pocket");
    let tokenizer = easel::Tokenizer::load(&model).expect("the model is in the repository");
    let mut different = BTreeSet::new();
    for playlist in &playlists {
        for order in first(playlist, 2000) {
            let prompt = &order.prompt;
            let tokens = tokenizer.encode(prompt).expect("it is text");
            assert_eq!(tokens.chunks().len(), 1, "{prompt}");
            // A word that the captions had is one token; behind them stands padding, which is the last of all.
            let ids = tokenizer.encode_plain(prompt).expect("it is text");
            let count = ids[1..]
                .iter()
                .take_while(|&id| ids.last() != Some(id))
                .count();
            let words = prompt
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty());
            assert_eq!(
                count,
                words.count() + prompt.matches(',').count(),
                "{prompt}"
            );
            assert!(
                !prompt.contains(" a orange") && !prompt.contains(" a a"),
                "{prompt}"
            );
            different.insert(order.prompt);
        }
    }
    assert!(
        different.len() > 1500,
        "{} different pictures",
        different.len()
    );
}

proptest! {
    #[test]
    fn a_place_survives_a_shorter_list(
        count in 1_usize..6, styles in 0_usize..4, taken: u64, last in prop::option::of(0_usize..20), seed: u64,
        order in prop::sample::select(vec!["random", "sequential", "weighted"]),
    ) {
        let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
        let of_prompts = list((0..count).map(|i| format!("'p{i}'")).collect());
        let of_styles = list((0..styles).map(|i| format!("'{{prompt}} s{i}'")).collect());
        let playlist = playlist(&format!("order = '{order}'\nprompts = {of_prompts}\nstyles = {of_styles}"));
        let (drawn, next) = playlist.next(&Position { taken, last }, seed, None);
        let Wish::Paint(drawn) = drawn else {
            return Err(TestCaseError::fail("nothing to paint"));
        };
        prop_assert!(drawn.prompt.starts_with('p'), "{}", drawn.prompt);
        prop_assert_eq!(drawn.prompt.contains(" s"), styles > 0);
        prop_assert!(next.last.is_some_and(|last| last < count));
    }
}
