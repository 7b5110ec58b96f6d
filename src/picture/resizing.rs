//! Pictures and masks at another size, as diffusers' pipelines bring them there: to the bit what Pillow makes of them (`Resample.c`).
//!
//! Rows and columns one after the other, each output pixel a weighted sum of those around it. Weights are whole numbers of 22 bits, and what lies
//! between the two passes is rounded to bytes: other programs differ by up to 15 levels at hard edges, which an encoder would see.

use std::borrow::Cow;

use super::Picture;

/// How pixels are weighed. Both filters grow with the picture as it is made smaller, so that nothing is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Lanczos with three lobes: what becomes latents.
    Lanczos,
    /// Bicubic, a = −½: what CLIP sees.
    Bicubic,
}

impl Filter {
    /// How far it reaches, pixels of the smaller picture.
    fn reach(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bicubic => 2.0,
        }
    }

    /// What a pixel counts at this distance.
    fn weight(self, distance: f64) -> f64 {
        let sinc = |x: f64| {
            let turn = x * std::f64::consts::PI;
            if x == 0.0 {
                1.0
            } else {
                libm::sin(turn) / turn
            }
        };
        let x = distance.abs();
        match self {
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        }
    }
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

/// Bits of a weight.
const BITS: u32 = 22;

/// What an output pixel is made of: the first pixel that counts, and the weights of it and those behind it.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// For each pixel of a side of `len` pixels resized to `to`.
fn windows(len: usize, to: usize, filter: Filter) -> Vec<Window> {
    let scale = len as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = filter.reach() * stretch;
    let window = |at: usize| {
        let middle = (at as f64 + 0.5) * scale;
        let first = (middle - reach + 0.5).max(0.0) as usize;
        let end = ((middle + reach + 0.5) as usize).min(len);
        let weights = (first..end).map(|x| filter.weight((x as f64 - middle + 0.5) / stretch));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: f64| (weight / sum * f64::from(1 << BITS)).round() as i32;
        Window {
            first,
            weights: weights.into_iter().map(whole).collect(),
        }
    };
    (0..to).map(window).collect()
}

fn to_byte(sum: i64) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// `pixels` of RGB at another size.
fn resized(
    pixels: &[u8],
    [width, height]: [u32; 2],
    [to_width, to_height]: [u32; 2],
    filter: Filter,
) -> Vec<u8> {
    // Columns first where a picture becomes lower by more than twice what it becomes narrower: found with Pillow 13 on 2000 pictures.
    let [lower, narrower] =
        [(height, to_height), (width, to_width)].map(|(from, to)| i64::from(from) - i64::from(to));
    let columns_first = lower > 0 && lower > 2 * narrower;
    let [width, height, to_width, to_height] =
        [width, height, to_width, to_height].map(|side| side as usize);
    if columns_first {
        let rows = columns(pixels, width, height, to_height, filter);
        rows_of(&rows, width, to_width, filter).into_owned()
    } else {
        let rows = rows_of(pixels, width, to_width, filter);
        columns(&rows, to_width, height, to_height, filter).into_owned()
    }
}

/// Rows of `width` pixels at another width.
fn rows_of(pixels: &[u8], width: usize, to: usize, filter: Filter) -> Cow<'_, [u8]> {
    if width == to {
        return Cow::Borrowed(pixels);
    }
    let windows = windows(width, to, filter);
    let mut resized = Vec::with_capacity(pixels.len() / width * to);
    for row in pixels.chunks_exact(3 * width) {
        for window in &windows {
            let mut sums = [0_i64; 3];
            let from = row[3 * window.first..].chunks_exact(3);
            for (pixel, weight) in from.zip(&window.weights) {
                for (sum, byte) in sums.iter_mut().zip(pixel) {
                    *sum += i64::from(*weight) * i64::from(*byte);
                }
            }
            resized.extend(sums.map(to_byte));
        }
    }
    Cow::Owned(resized)
}

/// Columns of `height` pixels at another height.
fn columns(pixels: &[u8], width: usize, height: usize, to: usize, filter: Filter) -> Cow<'_, [u8]> {
    if height == to {
        return Cow::Borrowed(pixels);
    }
    let line = 3 * width;
    let mut resized = Vec::with_capacity(line * to);
    let mut sums = vec![0_i64; line];
    for window in windows(height, to, filter) {
        sums.fill(0);
        let from = pixels[window.first * line..].chunks_exact(line);
        for (row, weight) in from.zip(&window.weights) {
            for (sum, byte) in sums.iter_mut().zip(row) {
                *sum += i64::from(*weight) * i64::from(*byte);
            }
        }
        resized.extend(sums.iter().map(|sum| to_byte(*sum)));
    }
    Cow::Owned(resized)
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
            assert!(found == wanted.rgb, "{name}");
        }
    }
}
