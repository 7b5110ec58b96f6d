//! What a model directory holds, whatever kind of model it is: for those who look at one that easel cannot paint with.

use std::path::Path;

use super::{Geometry, ModelDirError, check_is_model, index, read_config, recognise};
use crate::component::Component;
use crate::text::excerpt;

/// What a model directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelParts {
    /// The pipeline's class in `model_index.json`.
    pub class: Option<String>,
    /// What models of that class are called, where easel knows them and does not paint with them.
    pub family: Option<&'static str>,
    /// The networks that are there as ONNX, in the order in which painting needs them.
    pub networks: Vec<Component>,
    /// Files and folders that parts named in `model_index.json` need and that are not there.
    pub missing: Vec<String>,
    /// Whether the networks can be planned and timed one by one.
    pub measurable: bool,
}

impl ModelParts {
    /// Looks at the index and at which files there are.
    ///
    /// # Errors
    /// It is no model directory, or its index cannot be read.
    pub fn read(dir: &Path) -> Result<Self, ModelDirError> {
        check_is_model(dir)?;
        let index = read_config(&dir.join("model_index.json"))?;
        let class = index.get("_class_name").and_then(|class| class.as_str());
        let needed = index.entries().filter_map(|(name, value)| {
            let part_class = value.as_array()?.get(1)?.as_str()?;
            needs(name, part_class)
        });
        let missing = needed.filter(|file| !dir.join(file).exists());
        let mut missing: Vec<String> = missing.map(|file| excerpt(&file)).collect();
        missing.sort();
        Ok(Self {
            class: class.map(excerpt),
            family: class.and_then(recognise::other_family),
            networks: Component::all_in(dir),
            missing,
            measurable: Geometry::read(dir).is_ok(),
        })
    }
}

/// The file or folder that a part of this name and class needs; `None`: it is not needed, or no name of a folder.
fn needs(name: &str, class: &str) -> Option<String> {
    let is_processor = class.ends_with("Processor") || class.ends_with("FeatureExtractor");
    if is_processor || index::UNUSED.contains(&name) {
        return None;
    }
    let name = match name {
        "scheduler" => return Some(super::SCHEDULER.to_owned()),
        // The exporters split it in two.
        "vae" => "vae_decoder",
        name => name,
    };
    let folder = name.parse::<Component>().ok()?;
    Some(match name.starts_with("tokenizer") {
        true => folder.name().to_owned(),
        false => format!("{folder}/model.onnx"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_index_names_is_there_or_missing() {
        let dir = tempfile::tempdir().expect("a folder");
        let index = r#"{
            "_class_name": "SanaPipeline",
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "T5EncoderModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": [null, null],
            "transformer": ["diffusers", "SanaTransformer2DModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
            "image_processor": ["transformers", "CLIPImageProcessor"],
            "../etc": ["diffusers", "Strange"]
        }"#;
        std::fs::write(dir.path().join("model_index.json"), index).expect("room");
        for folder in ["text_encoder", "transformer", "tokenizer"] {
            std::fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        for network in ["text_encoder", "transformer"] {
            std::fs::write(dir.path().join(network).join("model.onnx"), "").expect("room");
        }
        let parts = ModelParts::read(dir.path()).expect("it has an index");
        assert_eq!(parts.class.as_deref(), Some("SanaPipeline"));
        assert_eq!(parts.family, Some("SANA"));
        let wanted = [Component::TEXT_ENCODER, Component::TRANSFORMER];
        assert_eq!(parts.networks, wanted);
        let missing = ["text_encoder_2/model.onnx", "vae_decoder/model.onnx"];
        assert_eq!(parts.missing, missing);
    }
}
