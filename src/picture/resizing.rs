//! Pictures and masks at another size, as diffusers' pipelines bring them there.

use std::borrow::Cow;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::Picture;

/// How pixels are weighed. Both filters grow with the picture as it is made smaller, so that nothing is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Lanczos with three lobes: what becomes latents.
    Lanczos,
    /// Bicubic, a = −½: what CLIP sees.
    Bicubic,
}

impl Picture {
    /// The picture at this size, not 0 either way; its shape may change.
    #[must_use]
    pub fn resized(&self, size: (u32, u32)) -> Cow<'_, Self> {
        self.resized_by(size, Filter::Lanczos)
    }

    pub(crate) fn resized_by(&self, (width, height): (u32, u32), filter: Filter) -> Cow<'_, Self> {
        if (self.width, self.height) == (width, height) {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self {
            width,
            height,
            rgb: resized(
                &self.rgb,
                [self.width, self.height],
                [width, height],
                filter,
            ),
        })
    }

    /// The part of it that begins in this column and row.
    pub(crate) fn cropped(&self, [left, top]: [u32; 2], [width, height]: [u32; 2]) -> Self {
        let (line, wanted) = (3 * self.width as usize, 3 * width as usize);
        let rows = self.rgb.chunks_exact(line);
        let rows = rows.skip(top as usize).take(height as usize);
        let start = 3 * left as usize;
        Self {
            width,
            height,
            rgb: rows
                .flat_map(|row| &row[start..start + wanted])
                .copied()
                .collect(),
        }
    }

    /// Planes of one float each, `[3, height, width]`: what `value` makes of a byte of each colour, by its number.
    pub(crate) fn planes(&self, value: impl Fn(usize, u8) -> f32) -> Vec<f32> {
        let colour = |colour: usize| self.rgb.iter().skip(colour).step_by(3);
        let planes = (0..3).flat_map(|number| {
            let value = &value;
            colour(number).map(move |byte| value(number, *byte))
        });
        planes.collect()
    }

    /// How light each pixel is (ITU-R BT.601, in 16 bits as Pillow does it).
    pub(crate) fn grey(&self) -> Vec<u8> {
        let grey = |rgb: &[u8]| {
            let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
            ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
        };
        self.rgb.chunks_exact(3).map(grey).collect()
    }
}

/// `pixels` of RGB at another size.
fn resized(
    pixels: &[u8],
    [width, height]: [u32; 2],
    [to_width, to_height]: [u32; 2],
    filter: Filter,
) -> Vec<u8> {
    let source = TypedImageRef::<U8x3>::from_buffer(width, height, pixels);
    let source = source.expect("a picture has three bytes a pixel");
    let mut target = TypedImage::<U8x3>::new(to_width, to_height);
    let filter = match filter {
        Filter::Lanczos => FilterType::Lanczos3,
        Filter::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .use_alpha(false);
    let done = Resizer::new().resize_typed(&source, &mut target, &options);
    done.expect("both have a size");
    let pixels = target.pixels().iter();
    pixels.flat_map(|pixel| pixel.0).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;
    use crate::mask::Mask;

    fn goldens() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/pipelines")
    }

    fn read(file: &str) -> Picture {
        Picture::read(&goldens().join(file)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What Pillow makes of the same pictures (`goldens/pictures_in.py` of `model-export`).
    #[test]
    fn pictures_are_resized_as_pillow_does_it() {
        let index = std::fs::read_to_string(goldens().join("resize/index.json"));
        let cases: Vec<Value> =
            serde_json::from_str(&index.expect("the golden data")).expect("a list");
        for case in cases {
            let name = case["file"].as_str().expect("a name");
            let source = read(case["source"].as_str().expect("a name"));
            let side = |of: &Value, at: usize| of[at].as_u64().expect("a side") as u32;
            let size = (side(&case["size"], 0), side(&case["size"], 1));
            let filter = match case["filter"].as_str() {
                Some("bicubic") => Filter::Bicubic,
                _ => Filter::Lanczos,
            };
            let wanted = read(&format!("resize/{name}"));
            let found = match (&case["crop"], &case["latent"], &case["threshold"]) {
                (Value::Array(_), ..) => {
                    let crop = side(&case["crop"], 0);
                    let corner = [(size.0 - crop) / 2, (size.1 - crop) / 2];
                    source
                        .resized_by(size, filter)
                        .cropped(corner, [crop; 2])
                        .rgb
                }
                (_, Value::Array(_), _) => {
                    let factor = size.0 / side(&case["latent"], 0);
                    let latents = Mask::of(&source, size).latents(factor as usize);
                    latents
                        .iter()
                        .flat_map(|v| [(v * 255.0) as u8; 3])
                        .collect()
                }
                (.., Value::Bool(true)) => {
                    let mut planes = vec![1.0; 3 * (size.0 * size.1) as usize];
                    Mask::of(&source, size).blank(&mut planes);
                    let plane = &planes[..planes.len() / 3];
                    plane
                        .iter()
                        .flat_map(|v| [if *v == 0.0 { 255 } else { 0 }; 3])
                        .collect()
                }
                _ => source.resized_by(size, filter).rgb.clone(),
            };
            let pairs = found.iter().zip(&wanted.rgb);
            let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(255);
            assert_eq!(found.len(), wanted.rgb.len(), "{name}");
            assert!(worst <= 1, "{name}: {worst} levels");
            let off = found
                .iter()
                .zip(&wanted.rgb)
                .filter(|(a, b)| a != b)
                .count();
            println!("{name}: {off} of {} bytes differ", found.len());
            assert!(off * 100 <= found.len(), "{name}: {off} of {}", found.len());
        }
    }
}
