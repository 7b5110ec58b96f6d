//! What kind of file it is that someone calls a checkpoint.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::super::error::ImportError;
use super::super::safetensors::SafeTensors;
use crate::files::open_file;

/// The U-Net's layers.
pub(super) const UNET: &str = "model.diffusion_model.";
pub(super) const AUTOENCODER: &str = "first_stage_model.";
/// Beside it, names that are in one kind of file alone.
const OTHERS: [(&str, &str); 7] = [
    (
        "model.diffusion_model.joint_blocks.",
        "is a Stable Diffusion 3 model in its authors' format, which is not known here: take the folder that diffusers reads",
    ),
    (
        "model.diffusion_model.double_blocks.",
        "is a Flux model in its authors' format, which is not known here: take the folder that diffusers reads",
    ),
    (
        "double_blocks.",
        "is a Flux model in its authors' format, which is not known here: take the folder that diffusers reads",
    ),
    (
        "control_model.",
        "is a ControlNet in its authors' format, which is not known here: take the folder that diffusers reads",
    ),
    (
        "conditioner.embedders.0.model.",
        "is SDXL's refiner, which easel does not paint with: take the base model",
    ),
    (
        "model.diffusion_model.down_blocks.",
        "has a U-Net with diffusers' names in it, which no program writes: take the folder that it was made of",
    ),
    (
        "ip_adapter.",
        "is an IP-Adapter: give it with --ip-adapter, beside a checkpoint",
    ),
];

/// Opens a file of weights; one in another format is called by its name.
pub(in crate::import) fn open(path: &Path) -> Result<SafeTensors, ImportError> {
    let unreadable = |error| ImportError::unreadable(path, &error);
    let file = open_file(path).map_err(unreadable)?;
    if let Some(problem) = other_format(&file).map_err(unreadable)? {
        return Err(ImportError::bad(path, problem));
    }
    SafeTensors::open(path)
}

/// What to say of other formats, by the bytes that their files begin with.
fn other_format(file: &File) -> std::io::Result<Option<&'static str>> {
    let mut first = [0; 4];
    let length = file.read_at(&mut first, 0)?;
    Ok(match &first[..length] {
        // A zip archive of pickled objects, and the older kind without the archive.
        [b'P', b'K', 3, 4] | [0x80, 2, ..] => Some(
            "is in PyTorch's own format, which may run any program when it is read: take the .safetensors file, or convert it with \
             diffusers on a PC",
        ),
        b"GGUF" => Some(
            "is in the GGUF format, whose weights are quantized already: take the .safetensors file",
        ),
        _ => None,
    })
}

/// Refuses what is no checkpoint of Stable Diffusion.
pub(super) fn check(file: &SafeTensors) -> Result<(), &'static str> {
    let has = |prefix: &str| file.names().any(|name| name.starts_with(prefix));
    if is_lora(file) {
        return Err("is a LoRA: give it with --lora, beside the checkpoint that it changes");
    }
    if let Some((_, problem)) = OTHERS.iter().find(|(prefix, _)| has(prefix)) {
        return Err(problem);
    }
    if has(UNET) {
        return Ok(());
    }
    if has("input_blocks.") || has("down_blocks.") {
        return Err(
            "is a U-Net alone: take a file that has all parts, or a folder that diffusers reads",
        );
    }
    if has("decoder.") || has(AUTOENCODER) {
        return Err("is an autoencoder: give it with --decoder, beside a checkpoint");
    }
    Err("is no checkpoint of Stable Diffusion 1.x, 2.x or XL: it has no U-Net")
}

/// Whether a file changes a checkpoint instead of being one.
fn is_lora(file: &SafeTensors) -> bool {
    file.names().any(|name| {
        let part = [".lora_", ".lora.", "lora_unet_", ".hada_w", ".lokr_w"];
        part.iter().any(|part| name.contains(part)) || name.starts_with("lora_")
    })
}
