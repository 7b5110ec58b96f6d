//! What stands where a model directory should: things that are called models too, and what makes one of them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::family::plain_class;

/// What begins a pointer that Git LFS leaves in the place of a file (git-lfs.com, "Specification").
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// Pointers are shorter.
const LONGEST_POINTER: u64 = 1024;

/// The importer, for a checkpoint that is called so.
fn import(source: &str) -> String {
    format!("`easel import {source} --out DIR` makes a model directory of it")
}

/// What is wrong with this path as that of a model directory, and what helps; `None` if it has a `model_index.json`.
#[must_use]
pub fn not_a_model(path: &Path) -> Option<String> {
    if path.is_dir() {
        folder(path)
    } else if path.exists() {
        Some(file(path))
    } else {
        Some(missing(path))
    }
}

/// What is not there.
fn missing(path: &Path) -> String {
    let Some(name) = path.to_str().filter(|name| is_hub_name(name)) else {
        return "is not a directory: give a diffusers/ONNX model directory".to_owned();
    };
    format!(
        "is not a directory; if it is a model of the Hugging Face Hub, {}",
        import(name)
    )
}

/// Whether it could be `owner/name`.
fn is_hub_name(name: &str) -> bool {
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.len() <= 96 && part.chars().all(known)
    };
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() == 2 && parts.iter().all(|part| plain(part))
}

/// What a file is that is given for a directory.
fn file(path: &Path) -> String {
    let give = |folder: &Path| format!("give the folder that it is in: {}", folder.display());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if is_lfs_pointer(path) {
        return pointer("is");
    }
    match kind(path) {
        Kind::Gguf => gguf("is"),
        Kind::Checkpoint => checkpoint("is", path),
        Kind::Onnx => {
            let model = folder.parent().filter(|model| has_index(model));
            let advice = model.map_or_else(
                || "give the directory of the whole model".to_owned(),
                |model| format!("give the directory of the whole model: {}", model.display()),
            );
            format!("is one network of a model: {advice}")
        }
        Kind::Other if path.file_name().is_some_and(|name| name == INDEX) => {
            format!("is a file of a model: {}", give(folder))
        }
        Kind::Archive => "is an archive: unpack it and give the folder".to_owned(),
        Kind::Other => "is a file: give a diffusers/ONNX model directory".to_owned(),
    }
}

/// What a folder is that has no `model_index.json`.
fn folder(path: &Path) -> Option<String> {
    if has_index(path) {
        return None;
    }
    let named = |name: &str| path.file_name().is_some_and(|found| found == name);
    let parent = fs::canonicalize(path)
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned));
    if let Some(parent) = parent.filter(|parent| has_index(parent)) {
        return Some(format!("is a part of a model: give {}", parent.display()));
    }
    let entries = sorted_entries(path);
    // The hub's cache: models--owner--name/snapshots/COMMIT.
    let snapshots = sorted_entries(&path.join("snapshots"));
    let inner = entries
        .iter()
        .chain(&snapshots)
        .find(|entry| has_index(entry));
    if let Some(inner) = inner {
        return Some(format!(
            "has no {INDEX}: the model is in {}",
            inner.display()
        ));
    }
    let files = entries.iter().filter(|entry| entry.is_file());
    for entry in files {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let has = format!("has no {INDEX}, but {name}, which is");
        match kind(entry) {
            Kind::Gguf => return Some(gguf(&has)),
            Kind::Checkpoint if !named("unet") => return Some(checkpoint(&has, entry)),
            _ => {}
        }
    }
    Some(format!(
        "has no {INDEX}: give a diffusers/ONNX model directory"
    ))
}

const INDEX: &str = "model_index.json";

fn has_index(folder: &Path) -> bool {
    folder.join(INDEX).is_file()
}

/// What is in the folder, by name.
fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// What kind of file it is, by its name and its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gguf,
    /// Weights of a whole pipeline, for PyTorch.
    Checkpoint,
    Onnx,
    Archive,
    Other,
}

fn kind(path: &Path) -> Kind {
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    match extension.as_str() {
        _ if first_bytes(path, 4) == b"GGUF" => Kind::Gguf,
        "gguf" => Kind::Gguf,
        "safetensors" | "ckpt" | "pt" | "pth" | "bin" => Kind::Checkpoint,
        "onnx" => Kind::Onnx,
        "zip" | "tar" | "gz" | "tgz" | "xz" | "zst" | "7z" => Kind::Archive,
        _ => Kind::Other,
    }
}

/// The first bytes of a file, fewer if it has no more. Of what is no file, none: a pipe would never give them.
fn first_bytes(path: &Path, count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if path.is_file()
        && let Ok(file) = File::open(path)
        && file.take(count).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    bytes
}

fn gguf(is: &str) -> String {
    format!(
        "{is} a GGUF file, as stable-diffusion.cpp reads them: easel takes ONNX. Get the diffusers checkpoint that it was made of: {}",
        import("CHECKPOINT")
    )
}

fn checkpoint(is: &str, path: &Path) -> String {
    let safe = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("safetensors"));
    if safe {
        let path = path.display().to_string();
        return format!("{is} a checkpoint in a single file: {}", import(&path));
    }
    format!(
        "{is} a checkpoint in a single file, pickled, which easel does not read: get it as .safetensors; {}",
        import("FILE.safetensors")
    )
}

fn pointer(is: &str) -> String {
    format!(
        "{is} a Git LFS pointer, not yet the file itself: run `git lfs pull` in the model's folder"
    )
}

/// What to say of a file that Git LFS has left a pointer in the place of.
pub(super) fn pointer_problem(path: &Path) -> Option<String> {
    is_lfs_pointer(path).then(|| pointer("is"))
}

/// Whether Git LFS has left a pointer in the place of this file.
fn is_lfs_pointer(path: &Path) -> bool {
    let short =
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() < LONGEST_POINTER);
    short && first_bytes(path, LFS_POINTER.len() as u64) == LFS_POINTER
}

/// Refuses a directory whose networks are not there as ONNX, with the path to name and what helps.
pub(super) fn check_networks(dir: &Path) -> Result<(), (PathBuf, String)> {
    let denoisers = ["unet", "transformer", "prior"].map(|name| dir.join(name));
    let denoiser = denoisers.iter().find(|folder| folder.is_dir());
    let entries = denoiser
        .map(|folder| sorted_entries(folder))
        .unwrap_or_default();
    let with = |extensions: &[&str]| {
        let has = |path: &&PathBuf| {
            extensions
                .iter()
                .any(|e| path.extension().is_some_and(|found| found == *e))
        };
        entries.iter().find(has)
    };
    let whole = dir.to_owned();
    if with(&["onnx"]).is_none() {
        if let Some(pointer_file) = entries.iter().find(|path| is_lfs_pointer(path)) {
            return Err((pointer_file.clone(), pointer("is")));
        }
        if with(&["safetensors", "bin", "msgpack"]).is_some() {
            let what = "is a diffusers checkpoint, weights for PyTorch without ONNX networks";
            return Err((
                whole,
                format!("{what}: {}", import(&dir.display().to_string())),
            ));
        }
        if with(&["xml"]).is_some() {
            let what = "is an OpenVINO model: easel takes ONNX. Get the diffusers checkpoint that it was made of";
            return Err((whole, format!("{what}: {}", import("CHECKPOINT"))));
        }
    }
    match lfs_pointer_in(dir) {
        Some(file) => Err((file, pointer("is"))),
        None => Ok(()),
    }
}

/// A pointer of Git LFS among the files of a model, weights for other programs left out.
fn lfs_pointer_in(dir: &Path) -> Option<PathBuf> {
    let entries = sorted_entries(dir);
    let folders = entries.iter().filter(|entry| entry.is_dir());
    let inner = folders.flat_map(|folder| sorted_entries(folder));
    let mut files = entries.iter().cloned().chain(inner);
    let ours = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        ![
            "safetensors",
            "bin",
            "msgpack",
            "ckpt",
            "png",
            "jpg",
            "jpeg",
            "webp",
            "gif",
        ]
        .contains(&&*extension)
    };
    files.find(|path| ours(path) && is_lfs_pointer(path))
}

/// Families by what their pipelines' classes begin with, behind the `ORT` or `Onnx` of optimum and diffusers.
const FAMILIES: [(&str, &str); 15] = [
    ("StableDiffusionUpscale", "Stable Diffusion's upscaler"),
    (
        "StableDiffusionLatentUpscale",
        "Stable Diffusion's latent upscaler",
    ),
    ("StableDiffusionDepth2Img", "Stable Diffusion with depth"),
    ("StableVideoDiffusion", "Stable Video Diffusion"),
    ("StableCascade", "Stable Cascade"),
    ("StableUnCLIP", "Stable unCLIP"),
    ("UnCLIP", "unCLIP"),
    ("Wuerstchen", "Würstchen"),
    ("Sana", "SANA"),
    ("Kandinsky", "Kandinsky"),
    ("HunyuanDiT", "Hunyuan-DiT"),
    ("AuraFlow", "AuraFlow"),
    ("IF", "DeepFloyd IF"),
    ("AnimateDiff", "AnimateDiff"),
    ("QwenImage", "Qwen-Image"),
];

/// What the pipeline's class is known as, if easel does not paint with it.
pub(super) fn other_family(class: &str) -> Option<&'static str> {
    let class = plain_class(class);
    let mut found = FAMILIES.iter();
    let found = found.find(|(prefix, _)| class.starts_with(prefix));
    found.map(|(_, name)| *name)
}

/// What a U-Net is that takes more channels than it gives.
pub(crate) fn channels_problem(found: usize, latents: usize) -> String {
    let (what, more) = match (found, latents) {
        (7, 4) => ("is an upscaler's", "a small picture"),
        (5, 4) => ("is made for pictures with depth", "a map of depths"),
        _ => ("is of another kind", "something more"),
    };
    format!(
        "{what}: it takes {found} channels, the {latents} of the latents and {more}, which easel does not have yet; take the model that paints from text alone"
    )
}

#[cfg(test)]
mod tests;
