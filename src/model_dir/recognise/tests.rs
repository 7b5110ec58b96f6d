use super::*;

fn place(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, bytes).expect("room");
    }
    place
}

const POINTER: &[u8] =
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 3438167540\n";

#[test]
fn what_is_given_for_a_model_directory_is_named() {
    let place = place(&[
        ("a.gguf", b"GGUF\x03"),
        ("renamed.bin", b"GGUF\x03"),
        ("a.safetensors", b"\x10\0\0\0\0\0\0\0{"),
        ("a.ckpt", b"PK"),
        ("a.zip", b"PK"),
        ("pointer.safetensors", POINTER),
        ("notes.txt", b"hello"),
        ("model/model_index.json", b"{}"),
        ("model/unet/model.onnx", b""),
        ("hub/snapshots/0123/model_index.json", b"{}"),
        ("single/a.safetensors", b""),
        ("many/a.gguf", b""),
        ("other/readme.md", b""),
    ]);
    let said = |name: &str| not_a_model(&place.path().join(name));
    assert_eq!(said("model"), None);
    for (name, parts) in [
        ("a.gguf", &["GGUF", "easel import CHECKPOINT"][..]),
        ("renamed.bin", &["GGUF"]),
        (
            "a.safetensors",
            &[
                "checkpoint in a single file",
                "easel import ",
                "a.safetensors --out DIR",
            ],
        ),
        (
            "a.ckpt",
            &[
                "checkpoint in a single file",
                "pickled",
                "get it as .safetensors",
            ],
        ),
        ("a.zip", &["archive", "unpack"]),
        ("pointer.safetensors", &["Git LFS pointer", "git lfs pull"]),
        ("notes.txt", &["is a file"]),
        (
            "model/model_index.json",
            &["give the folder that it is in", "/model"],
        ),
        ("model/unet/model.onnx", &["one network", "/model"]),
        ("model/unet", &["a part of a model", "/model"]),
        (
            "hub",
            &["model_index.json", "the model is in", "snapshots/0123"],
        ),
        ("single", &["a.safetensors", "checkpoint in a single file"]),
        ("many", &["a.gguf", "GGUF"]),
        ("other", &["has no model_index.json"]),
        ("nowhere", &["is not a directory"]),
    ] {
        let found = said(name).unwrap_or_default();
        assert!(
            parts.iter().all(|part| found.contains(part)),
            "{name}: {found}"
        );
        assert!(!found.contains('\n'));
    }
}

#[test]
fn a_name_of_the_hub_is_no_folder_but_one_to_import() {
    let found = not_a_model(Path::new("runwayml/stable-diffusion-v1-5")).expect("it is not there");
    assert!(
        found.contains("easel import runwayml/stable-diffusion-v1-5 "),
        "{found}"
    );
    for name in ["../a", "/a/b", "a/b/c", "a", "a/", "./a", "a b/c", "a/b;c"] {
        assert!(!is_hub_name(name), "{name}");
    }
}

#[test]
fn networks_that_are_not_there_as_onnx_are_told_apart() {
    for (files, parts) in [
        (
            &[("unet/diffusion_pytorch_model.safetensors", &b""[..])][..],
            &["diffusers checkpoint", "easel import "][..],
        ),
        (
            &[("unet/diffusion_pytorch_model.bin", b"")],
            &["diffusers checkpoint"],
        ),
        (
            &[("transformer/model-00001-of-2.safetensors", b"")],
            &["diffusers checkpoint"],
        ),
        (
            &[("unet/diffusion_pytorch_model.safetensors", POINTER)],
            &["Git LFS pointer"],
        ),
        (&[("unet/openvino_model.xml", b"")], &["OpenVINO"]),
        (
            &[("unet/model.onnx", POINTER)],
            &["unet/model.onnx: is a Git LFS pointer"],
        ),
        (
            &[("unet/model.onnx", b""), ("unet/model.onnx_data", POINTER)],
            &["model.onnx_data: is a Git LFS"],
        ),
        (
            &[("unet/model.onnx", b""), ("unet/weights.pb", POINTER)],
            &["weights.pb: is a Git LFS"],
        ),
        (
            &[("unet/model.onnx", b""), ("tokenizer/vocab.json", POINTER)],
            &["vocab.json: is a Git LFS"],
        ),
    ] {
        let place = place(files);
        let (path, problem) = check_networks(place.path()).expect_err("refused");
        let found = format!("{}: {problem}", path.display());
        assert!(parts.iter().all(|part| found.contains(part)), "{found}");
    }
    // Weights for other programs do not matter beside ONNX networks.
    let place = place(&[
        ("unet/model.onnx", b""),
        ("unet/model.safetensors", POINTER),
    ]);
    assert_eq!(check_networks(place.path()), Ok(()));
    assert_eq!(check_networks(Path::new("nowhere")), Ok(()));
}

#[test]
fn families_are_known_by_their_pipelines() {
    for (class, expected) in [
        ("StableDiffusionPipeline", None),
        ("LatentConsistencyModelPipeline", None),
        ("OnnxStableDiffusionPipeline", None),
        ("ORTStableDiffusionPipeline", None),
        ("StableDiffusionXLPipeline", None),
        ("ORTStableDiffusionXLImg2ImgPipeline", None),
        ("StableDiffusionXLInpaintPipeline", None),
        ("StableDiffusionControlNetPipeline", None),
        ("StableDiffusion3Pipeline", None),
        ("FluxPipeline", None),
        ("PixArtSigmaPipeline", None),
        ("SanaPipeline", Some("SANA")),
        ("ORTAuraFlowPipeline", Some("AuraFlow")),
    ] {
        assert_eq!(other_family(class), expected, "{class}");
    }
}
