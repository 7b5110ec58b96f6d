//! `model_index.json`: whether a model is of a family that easel paints with, and has no parts that it lacks.

use super::recognise;
use crate::config::Config;
use crate::family::Family;
use crate::text::excerpt;

/// What easel paints, for messages.
const PAINTED: &str =
    "easel paints Stable Diffusion 1.x, 2.x, XL and 3, PixArt, Flux.1 and MiniT2I type models";

/// Parts that painting from text alone does without.
pub(super) const UNUSED: [&str; 5] = [
    "vae_encoder",
    "safety_checker",
    "feature_extractor",
    "image_encoder",
    "watermark",
];

/// Refuses families that easel does not paint with.
pub(super) fn refuse_others(index: &Config) -> Result<(), String> {
    let class = index.get("_class_name").and_then(|class| class.as_str());
    match class.and_then(recognise::other_family) {
        Some(other) => Err(format!(
            "is a model of another family, {other}: {PAINTED}, take one of those"
        )),
        None => Ok(()),
    }
}

/// Refuses what would paint something else than the model means.
pub(super) fn check_components(index: &Config, family: &dyn Family) -> Result<(), String> {
    let denoiser = family.denoiser();
    let texts = family.texts().iter();
    let texts = texts.flat_map(|text| [text.encoder.name(), text.tokenizer]);
    let mut known: Vec<&str> = vec![denoiser.name(), "vae", "vae_decoder", "scheduler"];
    known.extend(texts);
    known.extend(UNUSED);
    for (name, value) in index.entries() {
        // ["library", "Class"], or [null, null] for a component that is not used.
        let Some(class) = value.as_array().and_then(|pair| pair.get(1)?.as_str()) else {
            continue;
        };
        let is_known = known.contains(&name.as_str()) || name.starts_with("controlnet");
        if !is_known {
            let (name, class, family) = (excerpt(name), excerpt(class), family.name());
            return Err(format!(
                "component `{name}` ({class}) is not known in a {family} model: {PAINTED}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_with_a_strange_name_is_refused_in_one_line() {
        let index = serde_json::json!({ "a\nb": ["x", "C\u{7}".repeat(1000)] });
        let index = Config::parse(&index.to_string()).expect("it is one");
        let family = crate::family::of(&index, &Config::default()).expect("Stable Diffusion");
        let problem = check_components(&index, &*family).expect_err("it is not known");
        assert!(problem.contains("component `a b` (C "), "{problem}");
        assert!(
            !problem.contains(char::is_control) && problem.len() < 300,
            "{problem}"
        );
    }
}
