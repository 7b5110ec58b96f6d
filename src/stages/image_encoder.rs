//! A prompt picture becomes tokens that the denoiser attends to beside those of the text (IP-Adapter: Ye et al., arXiv 2308.06721).

use std::path::Path;

use crate::component::Component;
use crate::config::Config;
use crate::files::{SETTINGS, read_text};
use crate::memory::Alternatives;
use crate::picture::{Filter, Picture};
use crate::request::LARGEST_SIDE;
use crate::runtime::{LazyNetwork, Network, Precision, RuntimeError, Workers, values};
use crate::watched::CancelToken;

/// What the denoiser is told, `[tokens, features]`.
pub(crate) const EMBEDS: &str = "image_embeds";
/// How much of it: a factor of what attention makes of these tokens.
pub(crate) const SCALE: &str = "ip_adapter_scale";

const PREPROCESSOR: &str = "feature_extractor/preprocessor_config.json";

/// How a picture is brought before the network.
#[derive(Debug, Clone, PartialEq)]
struct Preprocessing {
    /// The shorter side that a picture is resized to, then the side of the square that is cut out of its middle, pixels.
    sides: [u32; 2],
    mean: [f32; 3],
    deviation: [f32; 3],
}

/// CLIP's (Radford et al., arXiv 2103.00020).
const CLIP: Preprocessing = Preprocessing {
    sides: [224; 2],
    mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
    deviation: [0.268_629_54, 0.261_302_6, 0.275_777_1],
};

pub(crate) struct ImageEncoder {
    network: LazyNetwork,
    preprocessing: Preprocessing,
}

/// What the network says of a picture.
#[derive(Debug, Clone)]
pub(crate) struct ImageEmbedding {
    /// Tokens and features.
    pub(crate) dims: [usize; 2],
    pub(crate) data: Vec<f32>,
}

impl ImageEncoder {
    pub(crate) fn open(model_dir: &Path, cancel: &CancelToken) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, &Component::IMAGE_ENCODER, cancel)?;
        let [input] = network.inputs() else {
            return Err(network.error("takes more than a picture: easel cannot feed it"));
        };
        let mut preprocessing = preprocessing(&model_dir.join(PREPROCESSOR))
            .map_err(|problem| network.error(format!("{PREPROCESSOR}: {problem}")))?;
        if let [_, _, Some(height), Some(width)] = input.dims[..] {
            let side = u32::try_from(height).unwrap_or(u32::MAX);
            if height != width || side > LARGEST_SIDE {
                return Err(network.error("takes pictures that are not square, or too large"));
            }
            if side != preprocessing.sides[1] {
                preprocessing.sides = [side; 2];
            }
        }
        Ok(Self {
            network: LazyNetwork::new(network, Vec::new(), Precision::Activations8),
            preprocessing,
        })
    }

    /// Whether a model directory has one.
    pub(crate) fn is_in(model_dir: &Path) -> bool {
        let folder = model_dir.join(Component::IMAGE_ENCODER.name());
        folder.join("model.onnx").exists()
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network(&self) -> &LazyNetwork {
        &self.network
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network_mut(&mut self) -> &mut LazyNetwork {
        &mut self.network
    }

    pub(crate) fn alternatives<'a, E: From<RuntimeError> + 'a>(
        &'a self,
        workers: &'a Workers,
    ) -> Alternatives<'a, E> {
        let needs = move || Ok(self.network.needs(workers, &[self.shape()])?);
        Alternatives::one(self.network.component(), needs)
    }

    /// Of the network's input.
    fn shape(&self) -> Vec<usize> {
        let side = self.preprocessing.sides[1] as usize;
        vec![1, 3, side, side]
    }

    /// What the network says of a picture.
    pub(crate) fn encode(
        &mut self,
        workers: &Workers,
        picture: &Picture,
    ) -> Result<ImageEmbedding, RuntimeError> {
        let pixels = self.preprocessing.pixels(picture);
        self.run(workers, pixels)
    }

    /// What the network says of nothing: pixels that are all zero.
    pub(crate) fn encode_nothing(
        &mut self,
        workers: &Workers,
    ) -> Result<ImageEmbedding, RuntimeError> {
        let pixels = vec![0.0; self.shape().iter().product()];
        self.run(workers, pixels)
    }

    fn run(&mut self, workers: &Workers, pixels: Vec<f32>) -> Result<ImageEmbedding, RuntimeError> {
        let shape = self.shape();
        let input = self.network.network().first_input(&shape, &pixels)?;
        let output = self
            .network
            .load(workers, &[shape])?
            .run(workers, vec![input])?;
        let dims = match *output.shape() {
            [1, features] => [1, features],
            [1, tokens, features] => [tokens, features],
            ref other => {
                let problem =
                    format!("gives {other:?}, expected [1, features] or [1, tokens, features]");
                return Err(self.network.network().error(problem));
            }
        };
        Ok(ImageEmbedding {
            dims,
            data: values(&output).to_vec(),
        })
    }
}

impl ImageEmbedding {
    /// As many zeros.
    pub(crate) fn zeroes_alike(&self) -> Self {
        Self {
            dims: self.dims,
            data: vec![0.0; self.data.len()],
        }
    }
}

impl Preprocessing {
    /// `[3, side, side]`: the middle of the picture, as the network was trained to see pictures.
    fn pixels(&self, picture: &Picture) -> Vec<f32> {
        let [short, side] = self.sides;
        let (width, height) = (picture.width, picture.height);
        let long = |long: u32, least: u32| {
            let long = u64::from(short) * u64::from(long) / u64::from(least);
            // A line would become longer than anything needs.
            u32::try_from(long)
                .unwrap_or(u32::MAX)
                .min(short.saturating_mul(64))
        };
        let size = match width <= height {
            true => (short, long(height, width)),
            false => (long(width, height), short),
        };
        let resized = picture.resized_by(size, Filter::Bicubic);
        let corner = [(size.0 - side) / 2, (size.1 - side) / 2];
        let middle = resized.cropped(corner, [side, side]);
        middle.planes(|colour, byte| {
            (f32::from(byte) / 255.0 - self.mean[colour]) / self.deviation[colour]
        })
    }
}

/// What `preprocessor_config.json` says, CLIP's where it does not or is not there.
fn preprocessing(file: &Path) -> Result<Preprocessing, String> {
    if file.symlink_metadata().is_err() {
        return Ok(CLIP);
    }
    let text = read_text(file, SETTINGS).map_err(|error| format!("cannot be read: {error}"))?;
    Preprocessing::of(&Config::parse(&text)?)
}

impl Preprocessing {
    fn of(config: &Config) -> Result<Self, String> {
        let side = |key: &str, inner: &str| match config.get(key) {
            Some(value) if value.is_object() => {
                let size = config.object(key)?.unwrap_or_default();
                size.count(inner, 1..=LARGEST_SIDE)
            }
            _ => config.count(key, 1..=LARGEST_SIDE),
        };
        let crop = side("crop_size", "height")?.unwrap_or(CLIP.sides[1]);
        let short = side("size", "shortest_edge")?.unwrap_or(crop);
        if short < crop {
            return Err(format!(
                "`size` {short} is smaller than `crop_size` {crop}: the middle of a picture would have edges"
            ));
        }
        let three = |key: &str, usual: [f32; 3]| -> Result<[f32; 3], String> {
            let Some(given) = config.get(key) else {
                return Ok(usual);
            };
            let numbers = given.as_array().map(Vec::as_slice).unwrap_or_default();
            let numbers: Vec<f32> = numbers
                .iter()
                .filter_map(|n| n.as_f64().map(|n| n as f32))
                .filter(|n| n.is_finite())
                .collect();
            numbers
                .try_into()
                .map_err(|_| format!("`{key}` is no list of three numbers"))
        };
        let deviation = three("image_std", CLIP.deviation)?;
        if deviation.iter().any(|n| *n <= 0.0) {
            return Err("`image_std` has numbers that are not above 0".into());
        }
        Ok(Self {
            sides: [short, crop],
            mean: three("image_mean", CLIP.mean)?,
            deviation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Preprocessing, String> {
        Preprocessing::of(&Config::parse(text).expect("JSON"))
    }

    #[test]
    fn both_ways_to_write_a_size_are_read() {
        let new =
            of(r#"{"crop_size": {"height": 64, "width": 64}, "size": {"shortest_edge": 70}}"#);
        assert_eq!(new.expect("it is one").sides, [70, 64]);
        let old =
            of(r#"{"crop_size": 32, "size": 32, "image_std": [1, 1, 2]}"#).expect("it is one");
        assert_eq!((old.sides, old.deviation), ([32; 2], [1.0, 1.0, 2.0]));
        assert_eq!(of("{}"), Ok(CLIP));
        for wrong in [
            r#"{"crop_size": 224, "size": 100}"#,
            r#"{"image_std": [1, 0, 1]}"#,
            r#"{"image_mean": [1, 1]}"#,
            r#"{"size": -1}"#,
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_middle_of_any_picture_is_seen() {
        let preprocessing = Preprocessing {
            sides: [8, 8],
            ..CLIP
        };
        for (width, height) in [(30, 8), (9, 40), (8, 8), (1, 3000), (3000, 1)] {
            let picture = Picture {
                width,
                height,
                rgb: vec![100; (width * height * 3) as usize],
            };
            assert_eq!(
                preprocessing.pixels(&picture).len(),
                3 * 64,
                "{width}x{height}"
            );
        }
    }
}
