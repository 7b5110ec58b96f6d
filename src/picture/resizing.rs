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
