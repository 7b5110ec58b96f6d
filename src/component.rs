//! The networks of a model, by name.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A network of a model: the name of its folder in the model directory, as `text_encoder`, `unet` or `vae_decoder`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Component(Cow<'static, str>);

impl Component {
    /// The first, or only, text encoder.
    pub const TEXT_ENCODER: Self = Self(Cow::Borrowed("text_encoder"));
    /// The second text encoder, as of Stable Diffusion XL.
    pub const TEXT_ENCODER_2: Self = Self(Cow::Borrowed("text_encoder_2"));
    /// The third text encoder, as of Stable Diffusion 3.
    pub const TEXT_ENCODER_3: Self = Self(Cow::Borrowed("text_encoder_3"));
    /// The denoiser of Stable Diffusion and its relatives. Painting makes one or two passes of it a step.
    pub const UNET: Self = Self(Cow::Borrowed("unet"));
    /// The denoiser of diffusion transformers.
    pub const TRANSFORMER: Self = Self(Cow::Borrowed("transformer"));
    /// A prompt picture to tokens, of IP-Adapters.
    pub const IMAGE_ENCODER: Self = Self(Cow::Borrowed("image_encoder"));
    /// The first ControlNet.
    pub const CONTROLNET: Self = Self(Cow::Borrowed("controlnet"));
    /// Pixels to latents.
    pub const VAE_ENCODER: Self = Self(Cow::Borrowed("vae_encoder"));
    /// Latents to pixels.
    pub const VAE_DECODER: Self = Self(Cow::Borrowed("vae_decoder"));

    /// In the order in which they are listed: about that in which painting needs them.
    const IN_ORDER: [Self; 9] = [
        Self::TEXT_ENCODER,
        Self::TEXT_ENCODER_2,
        Self::TEXT_ENCODER_3,
        Self::VAE_ENCODER,
        Self::IMAGE_ENCODER,
        Self::CONTROLNET,
        Self::UNET,
        Self::TRANSFORMER,
        Self::VAE_DECODER,
    ];

    /// The ControlNet of this number, from 0.
    #[must_use]
    pub fn controlnet(number: usize) -> Self {
        match number {
            0 => Self::CONTROLNET,
            _ => Self(Cow::Owned(format!("controlnet_{number}"))),
        }
    }

    /// The name of its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is the network that painting runs again and again.
    #[must_use]
    pub fn is_denoiser(&self) -> bool {
        *self == Self::UNET || *self == Self::TRANSFORMER
    }

    /// Whether it reads text.
    #[must_use]
    pub fn is_text_encoder(&self) -> bool {
        self.name().starts_with(Self::TEXT_ENCODER.name())
    }

    /// The networks that are in the model directory `dir`: in the order in which painting needs them, then others by name.
    #[must_use]
    pub fn all_in(dir: &Path) -> Vec<Self> {
        let folders = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let networks = folders.filter(|folder| folder.path().join("model.onnx").exists());
        let names = networks.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
        let mut found: Vec<Self> = names.collect();
        let place = |component: &Self| Self::IN_ORDER.iter().position(|known| known == component);
        found.sort_by_key(|component| {
            let place = place(component).unwrap_or(usize::MAX);
            (place, component.name().to_owned())
        });
        found
    }

    /// The denoiser of the model directory `dir`; the U-Net where there is none.
    #[must_use]
    pub fn denoiser_in(dir: &Path) -> Self {
        let mut found = Self::all_in(dir).into_iter();
        found.find(Self::is_denoiser).unwrap_or(Self::UNET)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Component {
    type Err = NoComponent;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(NoComponent(shown));
        }
        let known = Self::IN_ORDER
            .into_iter()
            .find(|known| known.name() == name);
        Ok(known.unwrap_or_else(|| Self(Cow::Owned(name.to_owned()))))
    }
}

/// A name that no [`Component`] can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "component `{0}`: give the name of a network's folder in the model, as text_encoder, unet or vae_decoder"
)]
pub struct NoComponent(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_found_in_the_order_of_painting() {
        let model = tempfile::tempdir().expect("a folder");
        for name in [
            "vae_decoder",
            "controlnet",
            "unet",
            "text_encoder_2",
            "text_encoder",
            "scheduler",
        ] {
            std::fs::create_dir(model.path().join(name)).expect("a folder");
            if name != "scheduler" {
                std::fs::write(model.path().join(name).join("model.onnx"), "").expect("room");
            }
        }
        let found = Component::all_in(model.path());
        let names: Vec<&str> = found.iter().map(Component::name).collect();
        let wanted = [
            "text_encoder",
            "text_encoder_2",
            "controlnet",
            "unet",
            "vae_decoder",
        ];
        assert_eq!(names, wanted);
        assert_eq!(Component::denoiser_in(model.path()), Component::UNET);
    }

    #[test]
    fn a_name_is_a_folder_of_the_model_and_no_way_out_of_it() {
        assert_eq!("unet".parse(), Ok(Component::UNET));
        assert!("controlnet_1".parse::<Component>().is_ok());
        for name in ["", "..", "unet/..", "/etc", "a b", "a\nb"] {
            assert!(name.parse::<Component>().is_err(), "{name:?}");
        }
    }
}
