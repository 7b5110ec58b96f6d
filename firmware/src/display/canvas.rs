//! What screens are drawn on.

use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Size},
    pixelcolor::{Rgb888, RgbColor},
};
use image::{Rgb, RgbImage};
use std::convert::Infallible;

/// A frame in the making, as the viewer sees it: 8 bits a colour, sRGB. Whatever is drawn outside is cut off.
///
/// It is a `DrawTarget` for anything from the `embedded-graphics` family; what those cannot do, transparency and smooth
/// edges, it does itself.
#[derive(Debug, Clone)]
pub struct Canvas {
    image: RgbImage,
}

/// A rectangle in pixels; parts of a pixel are drawn as such.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// To the right edge.
    pub width: f32,
    /// To the lower edge.
    pub height: f32,
}

impl Area {
    /// The pixels that it touches on a line of `length`: from, to (not included), for a span that starts at `start`.
    fn touched(start: f32, extent: f32, length: u32) -> std::ops::Range<u32> {
        // `as` brings what is outside to the nearest end, and NaN to 0.
        let from = start.floor() as u32;
        let to = (start + extent).ceil() as u32;
        from.min(length)..to.min(length)
    }
}

impl Canvas {
    /// All of one colour.
    #[must_use]
    pub fn new((width, height): (u32, u32), colour: Rgb888) -> Self {
        Self {
            image: RgbImage::from_pixel(width, height, rgb(colour)),
        }
    }

    /// Starts from a picture.
    #[must_use]
    pub fn on(image: RgbImage) -> Self {
        Self { image }
    }

    /// What has been drawn.
    #[must_use]
    pub fn into_image(self) -> RgbImage {
        self.image
    }

    /// Width and height, pixels.
    #[must_use]
    pub fn dimensions(&self) -> (u32, u32) {
        self.image.dimensions()
    }

    /// Lays `colour` over one pixel; `alpha` 1 hides what was there.
    pub fn blend(&mut self, x: i32, y: i32, colour: Rgb888, alpha: f32) {
        let at = u32::try_from(x).ok().zip(u32::try_from(y).ok());
        if let Some(pixel) = at.and_then(|(x, y)| self.image.get_pixel_mut_checked(x, y)) {
            mix(pixel, rgb(colour), alpha);
        }
    }

    /// A rectangle with round corners; `radius` 0 for square ones.
    pub fn rounded(&mut self, area: Area, radius: f32, colour: Rgb888, alpha: f32) {
        let radius = radius.min(area.width / 2.0).min(area.height / 2.0).max(0.0);
        let (half_width, half_height) = (area.width / 2.0, area.height / 2.0);
        let (middle_x, middle_y) = (area.x + half_width, area.y + half_height);
        let (width, height) = self.dimensions();
        for y in Area::touched(area.y, area.height, height) {
            for x in Area::touched(area.x, area.width, width) {
                // Signed distance from the outline: Inigo Quilez's rounded box.
                let dx = (x as f32 + 0.5 - middle_x).abs() - (half_width - radius);
                let dy = (y as f32 + 0.5 - middle_y).abs() - (half_height - radius);
                let outside = dx.max(0.0).hypot(dy.max(0.0));
                let distance = outside + dx.max(dy).min(0.0) - radius;
                let cover = (0.5 - distance).clamp(0.0, 1.0);
                mix(self.image.get_pixel_mut(x, y), rgb(colour), alpha * cover);
            }
        }
    }

    /// Lays a shade over the lower part: nothing at `from`, `alpha` of the colour at `to` and below.
    pub fn scrim(&mut self, from: f32, to: f32, colour: Rgb888, alpha: f32) {
        let (width, height) = self.dimensions();
        for y in Area::touched(from, height as f32 - from, height) {
            let t = ((y as f32 + 0.5 - from) / (to - from)).clamp(0.0, 1.0);
            // Smoothstep: a straight ramp shows its ends as edges.
            let alpha = alpha * t * t * (3.0 - 2.0 * t);
            for x in 0..width {
                mix(self.image.get_pixel_mut(x, y), rgb(colour), alpha);
            }
        }
    }

    /// A part of a circle's outline, clockwise from the top; `part` is 0 to 1.
    pub fn arc(&mut self, arc: Arc, part: f32, colour: Rgb888, alpha: f32) {
        let reach = arc.radius + arc.thickness;
        let (width, height) = self.dimensions();
        for y in Area::touched(arc.y - reach, 2.0 * reach, height) {
            for x in Area::touched(arc.x - reach, 2.0 * reach, width) {
                let (dx, dy) = (x as f32 + 0.5 - arc.x, y as f32 + 0.5 - arc.y);
                let distance = (dx.hypot(dy) - arc.radius).abs() - arc.thickness / 2.0;
                let cover = (0.5 - distance).clamp(0.0, 1.0);
                let turn = dx.atan2(-dy) / std::f32::consts::TAU;
                if cover > 0.0 && turn.rem_euclid(1.0) <= part {
                    mix(self.image.get_pixel_mut(x, y), rgb(colour), alpha * cover);
                }
            }
        }
    }
}

/// A circle's outline, pixels.
#[derive(Debug, Clone, Copy)]
pub struct Arc {
    /// Middle.
    pub x: f32,
    /// Middle.
    pub y: f32,
    /// To the middle of the line.
    pub radius: f32,
    /// Of the line.
    pub thickness: f32,
}

fn rgb(colour: Rgb888) -> Rgb<u8> {
    Rgb([colour.r(), colour.g(), colour.b()])
}

fn mix(below: &mut Rgb<u8>, above: Rgb<u8>, alpha: f32) {
    for (below, above) in below.0.iter_mut().zip(above.0) {
        let mixed = f32::from(*below) + (f32::from(above) - f32::from(*below)) * alpha;
        *below = mixed.round() as u8; // `as` clamps
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        let (width, height) = self.dimensions();
        Size::new(width, height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(point, colour) in pixels {
            self.blend(point.x, point.y, colour, 1.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::{
        Drawable as _,
        geometry::Point,
        primitives::{Circle, Primitive as _, PrimitiveStyle},
    };

    const WHITE: Rgb888 = Rgb888::WHITE;

    fn sum(canvas: &Canvas) -> f64 {
        let bytes = canvas.image.as_raw().iter();
        bytes.map(|&byte| f64::from(byte) / 255.0).sum::<f64>() / 3.0
    }

    #[test]
    fn other_drawings_come_out_and_are_cut_at_the_edge() {
        let mut canvas = Canvas::new((20, 10), Rgb888::BLACK);
        let circle = Circle::new(Point::new(-5, -5), 10);
        let Ok(()) = circle
            .into_styled(PrimitiveStyle::with_fill(WHITE))
            .draw(&mut canvas);
        assert!((15.0..25.0).contains(&sum(&canvas)), "{}", sum(&canvas));
        assert_eq!(canvas.image.get_pixel(0, 0).0, [255; 3]);
    }

    #[test]
    fn shapes_have_their_area() {
        let mut canvas = Canvas::new((40, 40), Rgb888::BLACK);
        let area = Area {
            x: 5.5,
            y: 6.0,
            width: 20.0,
            height: 12.0,
        };
        canvas.rounded(area, 0.0, WHITE, 1.0);
        assert!((sum(&canvas) - 240.0).abs() < 8.0, "{}", sum(&canvas));
        let mut canvas = Canvas::new((40, 40), Rgb888::BLACK);
        let arc = Arc {
            x: 20.0,
            y: 20.0,
            radius: 12.0,
            thickness: 4.0,
        };
        canvas.arc(arc, 0.5, WHITE, 1.0);
        let half_ring = std::f64::consts::PI * 12.0 * 4.0;
        assert!((sum(&canvas) - half_ring).abs() < 8.0, "{}", sum(&canvas));
        assert_eq!(
            canvas.image.get_pixel(8, 20).0,
            [0; 3],
            "left is the second half"
        );
    }

    #[test]
    fn shapes_far_outside_change_nothing() {
        let mut canvas = Canvas::new((8, 8), Rgb888::BLACK);
        for x in [-1e9, 1e9, f32::NAN, f32::INFINITY] {
            let area = Area {
                x,
                y: x,
                width: 4.0,
                height: 4.0,
            };
            canvas.rounded(area, 2.0, WHITE, 1.0);
            canvas.scrim(x.max(100.0), x.max(200.0), WHITE, 1.0);
        }
        canvas.blend(-1, 3, WHITE, 1.0);
        canvas.blend(3, 8, WHITE, 1.0);
        assert!(sum(&canvas) < f64::EPSILON);
    }
}
