use super::super::listing::Hash;
use super::*;

fn files(list: &[(&str, u64)]) -> Vec<File> {
    let file = |(path, size): &(&str, u64)| File {
        path: (*path).to_owned(),
        size: *size,
        hash: Hash::Git(String::new()),
    };
    list.iter().map(file).collect()
}

fn chosen(
    list: &[(&str, u64)],
    named: Option<&str>,
    precision: Precision,
) -> Result<Vec<String>, String> {
    choose(&files(list), named, precision)
        .map(|wanted| wanted.files.into_iter().map(|file| file.path).collect())
}

/// As the repositories of Stability AI are.
const TURBO: [(&str, u64); 17] = [
    (".gitattributes", 1),
    ("README.md", 1),
    ("model_index.json", 1),
    ("output_tile.jpg", 9),
    ("sd_turbo.safetensors", 5200),
    ("scheduler/scheduler_config.json", 1),
    ("text_encoder/config.json", 1),
    ("text_encoder/model.fp16.safetensors", 681),
    ("text_encoder/model.safetensors", 1362),
    ("tokenizer/merges.txt", 1),
    ("tokenizer/vocab.json", 1),
    ("unet/config.json", 1),
    ("unet/diffusion_pytorch_model.fp16.safetensors", 1732),
    ("unet/diffusion_pytorch_model.safetensors", 3464),
    ("unet/diffusion_pytorch_model.bin", 3464),
    ("vae/config.json", 1),
    ("vae/diffusion_pytorch_model.safetensors", 335),
];

#[test]
fn of_a_pipeline_the_smaller_weights_are_taken_once() {
    let names = chosen(&TURBO, None, Precision::Int8).expect("a pipeline");
    assert_eq!(
        names,
        [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.fp16.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ]
    );
    let names = chosen(&TURBO, None, Precision::Fp32).expect("a pipeline");
    assert!(names.contains(&"unet/diffusion_pytorch_model.safetensors".to_owned()));
    assert!(!names.iter().any(|name| name.contains("fp16")));
    assert_eq!(
        chosen(&TURBO, Some("sd_turbo.safetensors"), Precision::Int8).expect("a file"),
        ["sd_turbo.safetensors"]
    );
    let error = chosen(&TURBO, Some("other.safetensors"), Precision::Int8).expect_err("no file");
    assert!(error.contains("sd_turbo.safetensors"), "{error}");
}

#[test]
fn shards_come_with_their_index() {
    let mut list = vec![
        ("model_index.json", 1),
        ("unet/config.json", 1),
        ("unet/diffusion_pytorch_model.safetensors.index.json", 1),
        (
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            90,
        ),
        (
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            90,
        ),
        ("unet/diffusion_pytorch_model-extra.safetensors", 90),
    ];
    let names = chosen(&list, None, Precision::Int8).expect("a pipeline");
    assert_eq!(names.len(), 5, "{names:?}");
    for shard in [
        "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
        "unet/diffusion_pytorch_model-00001-of-00001.fp16.safetensors",
    ] {
        list.truncate(6);
        list.push((
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
            1,
        ));
        list.push((shard, 90));
        let names = chosen(&list, None, Precision::Int8).expect("a pipeline");
        assert!(
            names.contains(&shard.to_owned()) && names.len() == 4,
            "{names:?}"
        );
    }
}

#[test]
fn networks_alone_single_files_and_onnx_are_told_apart() {
    let network = [
        ("config.json", 1),
        ("diffusion_pytorch_model.safetensors", 5),
        ("a.png", 1),
    ];
    let names = chosen(&network, None, Precision::Int8).expect("a network");
    assert_eq!(
        names,
        ["config.json", "diffusion_pytorch_model.safetensors"]
    );
    let single = choose(
        &files(&[("a.safetensors", 5), ("README.md", 1)]),
        None,
        Precision::Int8,
    )
    .expect("a file");
    assert_eq!(single.source.as_deref(), Some("a.safetensors"));
    let error = chosen(
        &[("a.safetensors", 5), ("b.safetensors", 5)],
        None,
        Precision::Int8,
    )
    .expect_err("two");
    assert!(error.contains("a.safetensors, b.safetensors"), "{error}");
    let onnx = [
        ("model_index.json", 1),
        ("unet/model.onnx", 1),
        ("unet/model.onnx_data", 9),
        ("unet/old.bin", 9),
        ("vae_decoder/model.onnx", 1),
        ("tokenizer/vocab.json", 1),
    ];
    let names = chosen(&onnx, None, Precision::Int8).expect("a pipeline");
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn what_cannot_be_imported_says_what_it_is() {
    for (list, said) in [
        (
            &[
                ("model_index.json", 1),
                ("unet/diffusion_pytorch_model.bin", 9),
            ][..],
            "pickled",
        ),
        (&[("model.ckpt", 9)][..], "pickled"),
        (&[("q4.gguf", 9)][..], "GGUF"),
        (&[("README.md", 1)][..], "no weights"),
        (&[("lora/a.safetensors", 1)][..], "OWNER/NAME/FILE"),
        (
            &[
                ("model_index.json", 1),
                ("unet/diffusion_pytorch_model.safetensors", 9),
                ("scheduler/A.json", 1),
                ("scheduler/a.json", 1),
            ][..],
            "capitals",
        ),
    ] {
        let error = chosen(list, None, Precision::Int8).expect_err(said);
        assert!(error.contains(said), "{error}");
    }
}
