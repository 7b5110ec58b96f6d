//! The commands of the pages about importing, word for word. What is large or far away has a stand-in: the hub is on this machine and has
//! tiny models, folders of the system are in the test's own, and `sudo` is left out.

use crate::hub::server::{Answer, Hub};
use crate::hub::{tiny_decoder, with_hub};
use crate::support::{Workplace, model, stderr, stdout};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Places of the system, and where they are here.
const PLACES: [(&str, &str); 2] = [
    ("/srv/easel", "srv"),
    ("/etc/easel/board.toml", "board.toml"),
];
/// What starts with these words is not easel, and there is nothing to start again here.
const NOT_OURS: [&str; 1] = ["systemctl"];

/// The lines of a page that are commands.
fn commands(page: &str) -> Vec<&str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect()
}

/// The words of a command: quotes keep some together, and a comment ends it.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut is_quoted) = (Vec::new(), false);
    let mut word: Option<String> = None;
    for c in command.chars() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            ' ' if !is_quoted => words.extend(word.take()),
            '#' if !is_quoted && word.is_none() => break,
            c => word.get_or_insert_default().push(c),
        }
    }
    assert!(!is_quoted, "{command}");
    words.extend(word);
    words
}

/// A place with checkpoints, a picture and a board, and a hub for it.
fn place(page: &str) -> (Workplace, Hub) {
    let of = |name: &str, folder: &str| model("checkpoint").join("../..").join(name).join(folder);
    let place = Workplace::new().with(
        "house.png",
        std::fs::read(any_picture()).expect("a picture"),
    );
    for (name, folder) in [
        ("CHECKPOINT", of("tiny", "checkpoint")),
        ("CONTROLNET", of("tiny-control", "checkpoint/controlnet")),
        ("my-checkpoint", of("tiny", "checkpoint")),
    ] {
        let whole = folder.canonicalize().expect("a test model");
        symlink(whole, place.path(name)).expect("room");
    }
    std::fs::create_dir(place.path("srv")).expect("room");
    let lora = lora(&of(
        "tiny",
        "checkpoint/unet/diffusion_pytorch_model.safetensors",
    ));
    let place = place.with("style.safetensors", &lora);
    std::fs::create_dir(place.path("lora")).expect("room");
    let place = place.with("lora/pytorch_lora_weights.safetensors", &lora);
    let settings = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let settings = settings.unwrap_or_default().replace("/srv/easel", "srv");
    let board = format!(
        "[board]\nname = \"Frame\"\n[panel]\nkind = \"png\"\nwidth = 64\nheight = 48\n{settings}"
    );
    let place = place.with("board.toml", board);
    let hub = Hub::new(&[], |_| Answer::Right)
        .with_repository("stabilityai/sd-turbo", &of("tiny-turbo", "checkpoint"))
        .with_repository("madebyollin/taesd", &tiny_decoder())
        .with_repository("latent-consistency/lcm-lora-sdv1-5", &place.path("lora"));
    (place, hub)
}

/// A small LoRA for a network, as kohya's scripts write them: for one layer of its attention.
fn lora(network: &Path) -> Vec<u8> {
    let bytes = std::fs::read(network).expect("a test model");
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let header: Value = serde_json::from_slice(&rest[..length as usize]).expect("a header");
    let layers = header.as_object().expect("an object");
    let (name, weight) = layers
        .iter()
        .find(|(name, _)| name.ends_with("attn1.to_q.weight"))
        .expect("attention");
    let [rows, columns] = [0, 1].map(|at| weight["shape"][at].as_u64().expect("a number"));
    let name = format!(
        "lora_unet_{}",
        name.trim_end_matches(".weight").replace('.', "_")
    );
    let [down, up] = [columns * 4, (columns + rows) * 4];
    let header = json!({
        format!("{name}.lora_down.weight"): {"dtype": "F32", "shape": [1, columns], "data_offsets": [0, down]},
        format!("{name}.lora_up.weight"): {"dtype": "F32", "shape": [rows, 1], "data_offsets": [down, up]},
        format!("{name}.alpha"): {"dtype": "F32", "shape": [], "data_offsets": [up, up + 4]},
    })
    .to_string();
    let numbers = 0.1_f32.to_le_bytes().repeat((columns + rows + 1) as usize);
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &numbers,
    ]
    .concat()
}

fn any_picture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/images/held-out.png")
}

/// Runs the commands of a page; gives how many.
fn run(page: &str) -> usize {
    let (place, hub) = place(page);
    let mut count = 0;
    for command in commands(page) {
        let mut words = words(command);
        if words[0] == "sudo" {
            words.remove(0);
        }
        if NOT_OURS.contains(&words[0].as_str()) {
            continue;
        }
        assert_eq!(words[0], "easel", "{command}: no stand-in for it");
        for (there, here) in PLACES {
            for word in &mut words {
                *word = word.replace(there, here);
            }
        }
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let output = with_hub(&place, hub.address(), &arguments)
            .output()
            .expect("the binary runs");
        if arguments[0] == "doctor" {
            // The broker and the clock are this machine's matter.
            let said = stdout(&output);
            let is_ok = said
                .lines()
                .any(|line| line.split_whitespace().take(2).eq(["ok", "model"]));
            assert!(is_ok, "{command}: {said}");
        } else {
            assert!(output.status.success(), "{command}: {}", stderr(&output));
        }
        count += 1;
    }
    count
}

#[test]
fn the_commands_of_the_pages_about_importing_work() {
    for (name, page, least) in [
        (
            "sd-turbo-on-a-pi.md",
            include_str!("../../../docs/sd-turbo-on-a-pi.md"),
            3,
        ),
        (
            "my-own-checkpoint.md",
            include_str!("../../../docs/my-own-checkpoint.md"),
            9,
        ),
        (
            "importing.md",
            include_str!("../../../docs/importing.md"),
            6,
        ),
    ] {
        let count = run(page);
        println!("{name}: {count} commands");
        assert!(count >= least, "{name}: only {count} commands were found");
    }
}

#[test]
fn words_are_told_apart_as_a_shell_does() {
    assert_eq!(
        words("easel paint \"a cat, red\" --out a.png   # one"),
        ["easel", "paint", "a cat, red", "--out", "a.png"]
    );
    assert_eq!(words("a \"\" b"), ["a", "", "b"]);
}
