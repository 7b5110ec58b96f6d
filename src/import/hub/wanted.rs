//! Which of a repository's files an import reads. Repositories have their weights several times, in other formats and precisions,
//! with pictures and demonstrations beside them: of the 40 GB of some, 3 are needed.

use super::super::Precision;
use super::listing::File;

/// Folders with a network, as diffusers and optimum name them.
const NETWORKS: [&str; 11] = [
    "controlnet",
    "image_encoder",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "transformer",
    "unet",
    "vae",
    "vae_decoder",
    "vae_encoder",
    "prior",
];
/// Folders with settings and vocabularies.
const SETTINGS: [&str; 5] = [
    "feature_extractor",
    "scheduler",
    "tokenizer",
    "tokenizer_2",
    "tokenizer_3",
];
/// How those files end.
const SMALL: [&str; 3] = [".json", ".txt", ".model"];
/// Bytes of such a file, at most: larger ones are something else.
const LARGEST_SMALL: u64 = 64 << 20;
/// What lies beside networks in ONNX that is none of their weights.
const NOT_ONNX: [&str; 10] = [
    ".bin",
    ".ckpt",
    ".gif",
    ".h5",
    ".jpg",
    ".md",
    ".msgpack",
    ".png",
    ".safetensors",
    ".webp",
];

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) files: Vec<File>,
    /// The one file that is the source, if it is not the folder.
    pub(super) source: Option<String>,
}

/// Chooses what an import at `precision` reads: the file that is `named`; or a whole pipeline, of diffusers or in ONNX; or one
/// network; or a single file.
///
/// # Errors
/// What the repository has instead, and what helps.
pub(super) fn choose(
    files: &[File],
    named: Option<&str>,
    precision: Precision,
) -> Result<Wanted, String> {
    let mut wanted = whole(files, named, precision)?;
    wanted.files.sort_by(|one, other| one.path.cmp(&other.path));
    // Where `Unet` and `unet` are one folder, one would be written over the other.
    let mut names: Vec<_> = wanted
        .files
        .iter()
        .map(|file| file.path.to_ascii_lowercase())
        .collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!(
            "has two files that differ in capitals alone: {}",
            pair[0]
        ));
    }
    Ok(wanted)
}

fn whole(files: &[File], named: Option<&str>, precision: Precision) -> Result<Wanted, String> {
    let is_there = |path: &str| files.iter().any(|file| file.path == path);
    let single = |file: &File| Wanted {
        files: vec![file.clone()],
        source: Some(file.path.clone()),
    };
    let at_root: Vec<_> = files
        .iter()
        .filter(|file| !file.path.contains('/') && file.path.ends_with(".safetensors"))
        .collect();
    if let Some(named) = named {
        return match files.iter().find(|file| file.path == named) {
            Some(file) => Ok(single(file)),
            None if at_root.is_empty() => Err("has no such file".to_owned()),
            None => Err(format!("has no such file, but {}", listed(&at_root))),
        };
    }
    if is_there("model_index.json") {
        return pipeline(files, precision);
    }
    if is_there("config.json")
        && let Some(weights) = weights(files, "", precision)
    {
        let mut all = weights;
        all.extend(
            files
                .iter()
                .filter(|file| file.path == "config.json")
                .cloned(),
        );
        return Ok(Wanted {
            files: all,
            source: None,
        });
    }
    match at_root.as_slice() {
        [] => Err(instead(files)),
        [one] => Ok(single(one)),
        several => Err(format!(
            "has several checkpoints: say which, as OWNER/NAME/FILE: {}",
            listed(several)
        )),
    }
}

/// A pipeline as diffusers or optimum saves one. Where it is both, the checkpoint is taken: it is the original.
fn pipeline(files: &[File], precision: Precision) -> Result<Wanted, String> {
    let mut wanted: Vec<File> = Vec::new();
    for name in ["model_index.json", "easel.json"] {
        wanted.extend(files.iter().filter(|file| file.path == name).cloned());
    }
    for folder in SETTINGS {
        wanted.extend(inside(files, folder).filter(|file| is_small(file)).cloned());
    }
    let denoiser = ["unet", "transformer"];
    let is_checkpoint = denoiser
        .iter()
        .any(|folder| weights(files, folder, precision).is_some());
    let is_onnx = denoiser.iter().any(|folder| {
        files
            .iter()
            .any(|file| file.path == format!("{folder}/model.onnx"))
    });
    for folder in NETWORKS {
        if is_checkpoint {
            let Some(weights) = weights(files, folder, precision) else {
                continue;
            };
            wanted.extend(weights);
            let config = format!("{folder}/config.json");
            wanted.extend(files.iter().filter(|file| file.path == config).cloned());
        } else if is_onnx {
            let ours = |file: &&File| !NOT_ONNX.iter().any(|end| file.path.ends_with(end));
            wanted.extend(inside(files, folder).filter(ours).cloned());
        }
    }
    if is_checkpoint || is_onnx {
        Ok(Wanted {
            files: wanted,
            source: None,
        })
    } else {
        Err(instead(files))
    }
}

/// The files right in a folder; the root is the folder without a name.
fn inside<'f>(files: &'f [File], folder: &str) -> impl Iterator<Item = &'f File> {
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    files.iter().filter(move |file| {
        file.path
            .strip_prefix(&prefix)
            .is_some_and(|name| !name.contains('/'))
    })
}

fn is_small(file: &File) -> bool {
    file.size <= LARGEST_SMALL && SMALL.iter().any(|end| file.path.ends_with(end))
}

/// The weights of a network, once: one file, or several and their index.
///
/// Many repositories have them in 32 bits and in 16. For int8 and fp16 the smaller ones are taken: rounding to 16 bits changes a
/// weight by 1/2048 of itself at most, rounding to int8 by 1/254 of the largest one of its channel. They are half the download.
fn weights(files: &[File], folder: &str, precision: Precision) -> Option<Vec<File>> {
    let mut sets = Vec::new();
    for stem in ["diffusion_pytorch_model", "model"] {
        for variant in ["", ".fp16", ".bf16"] {
            sets.extend(set(files, folder, stem, variant));
        }
    }
    let size = |set: &Vec<File>| set.iter().map(|file| file.size).sum::<u64>();
    match precision {
        Precision::Fp32 => sets.into_iter().next(),
        // Of equal ones the first: full ones that are no larger are in 16 bits, too.
        Precision::Int8 | Precision::Fp16 => sets.into_iter().min_by_key(size),
    }
}

/// The files of one of the ways in which a network's weights are stored, if they are there.
fn set(files: &[File], folder: &str, stem: &str, variant: &str) -> Option<Vec<File>> {
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let find = |name: &str| {
        files
            .iter()
            .find(|file| file.path == format!("{prefix}{name}"))
    };
    let index = match variant {
        "" => format!("{stem}.safetensors.index.json"),
        variant => format!("{stem}.safetensors.index{variant}.json"),
    };
    let Some(index) = find(&index) else {
        return find(&format!("{stem}{variant}.safetensors")).map(|file| vec![file.clone()]);
    };
    // The variant's name stands before the number, in older repositories behind it.
    let is_shard = |file: &&File| {
        let name = &file.path[prefix.len()..];
        let name = name.strip_suffix(".safetensors").unwrap_or_default();
        let (before, behind) = (format!("{stem}{variant}-"), format!("{stem}-"));
        name.strip_prefix(&before).is_some_and(is_number)
            || name
                .strip_prefix(&behind)
                .and_then(|name| name.strip_suffix(variant))
                .is_some_and(is_number)
    };
    let mut set: Vec<_> = inside(files, folder).filter(is_shard).cloned().collect();
    if set.is_empty() {
        return None;
    }
    set.push(index.clone());
    Some(set)
}

/// Whether it is a shard's number: `00001-of-00002`.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once("-of-")
        .is_some_and(|(number, count)| digits(number) && digits(count))
}

/// Some files, for a message.
fn listed(files: &[&File]) -> String {
    const MOST: usize = 8;
    let mut names: Vec<_> = files
        .iter()
        .take(MOST)
        .map(|file| file.path.as_str())
        .collect();
    if files.len() > MOST {
        names.push("…");
    }
    names.join(", ")
}

/// What a repository has that has nothing to import.
fn instead(files: &[File]) -> String {
    let has = |ends: &[&str]| {
        files
            .iter()
            .any(|file| ends.iter().any(|end| file.path.ends_with(end)))
    };
    if has(&[".bin", ".ckpt", ".pt", ".pth"]) && !has(&[".safetensors"]) {
        "has its weights only as PyTorch's pickled files (.bin, .ckpt), which may hold programs and are not read: look for the same model in .safetensors, or convert it with diffusers (save_pretrained)".to_owned()
    } else if has(&[".gguf"]) {
        "has GGUF files, for stable-diffusion.cpp: import the checkpoint that they were made of"
            .to_owned()
    } else if has(&[".safetensors"]) {
        "has no checkpoint of a kind that is known here: name one of its files as OWNER/NAME/FILE.safetensors".to_owned()
    } else {
        "has no weights: it may be a page, or a model of another kind".to_owned()
    }
}

#[cfg(test)]
mod tests;
