//! Rows of pixels to a controller, whichever it is.

use super::settings::{Glass, SpiModel};
use crate::display::dither::to_rgb565;
use crate::display::panels::bus::Optional;
use embedded_graphics_core::pixelcolor::raw::RawU16;
use embedded_graphics_core::pixelcolor::{Rgb565, Rgb666};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiDevice;
use image::{Rgb, RgbImage};
use mipidsi::interface::{Interface, InterfaceKind, InterfacePixelFormat};
use mipidsi::models::{
    GC9A01, ILI9341Rgb565, ILI9486Rgb666, ILI9488Rgb666, Model, ST7735s, ST7789, ST7796,
};
use mipidsi::options::{ColorInversion, ColorOrder, Orientation};
use mipidsi::{Builder, Display};
use std::fmt::Debug;

/// A controller that was told how its glass is built.
pub(super) trait Rows: Send {
    /// Sends rows of the frame, from `top` on, `count` of them.
    fn send(&mut self, frame: &RgbImage, top: u32, count: u32) -> Result<(), String>;

    /// Puts the glass to sleep, or wakes it.
    fn sleep(&mut self, asleep: bool) -> Result<(), String>;
}

/// Where the frame lies in the controller's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) size: (u16, u16),
    pub(super) offset: (u16, u16),
}

/// Software reset, of the MIPI display command set.
const SWRESET: u8 = 0x01;

/// Resets a controller and tells it how its glass is built.
pub(super) fn start<S, D, R, W>(
    model: SpiModel,
    (spi, dc, reset, mut delay): (S, D, Optional<R>, W),
    window: Window,
    glass: Glass,
) -> Result<Box<dyn Rows>, String>
where
    S: SpiDevice + Send + 'static,
    D: OutputPin + Send + 'static,
    R: OutputPin + Send + 'static,
    W: DelayNs + Send + 'static,
{
    let mut wire = Wire {
        spi,
        dc,
        buffer: Vec::with_capacity(BUFFER),
    };
    if reset.0.is_none() {
        wire.send_command(SWRESET, &[])
            .map_err(|error| error.to_string())?;
        // As long as a reset of the line takes: ILI9341 8.2.2, ST7789V 9.1.2.
        delay.delay_ms(120);
    }
    macro_rules! with {
        ($model:expr) => {
            begin($model, wire, reset, &mut delay, window, glass)
                .map(|display| -> Box<dyn Rows> { Box::new(Started { display, delay }) })
        };
    }
    match model {
        SpiModel::St7735 => with!(ST7735s),
        SpiModel::St7789 => with!(ST7789),
        SpiModel::St7796 => with!(ST7796),
        SpiModel::Ili9341 => with!(ILI9341Rgb565),
        SpiModel::Ili9486 => with!(ILI9486Rgb666),
        SpiModel::Ili9488 => with!(ILI9488Rgb666),
        SpiModel::Gc9a01 => with!(GC9A01),
    }
}

fn begin<M, S, D, R>(
    model: M,
    wire: Wire<S, D>,
    reset: R,
    delay: &mut impl DelayNs,
    window: Window,
    glass: Glass,
) -> Result<Display<Wire<S, D>, M, R>, String>
where
    M: Model<ColorFormat: InterfacePixelFormat<u8>>,
    S: SpiDevice,
    D: OutputPin,
    R: OutputPin,
{
    let (width, height) = window.size;
    let (most_wide, most_high) = M::FRAMEBUFFER_SIZE;
    let fits = |at: u16, side: u16, most: u16| u32::from(at) + u32::from(side) <= most.into();
    if !fits(window.offset.0, width, most_wide) || !fits(window.offset.1, height, most_high) {
        return Err(format!(
            "{width}×{height} does not fit the controller's {most_wide}×{most_high}: give the size as it is built, and \
             panel.rotation = 90 or 270 for a screen that lies"
        ));
    }
    let orientation = match glass.mirrored {
        true => Orientation::new().flip_horizontal(),
        false => Orientation::new(),
    };
    let order = if glass.bgr {
        ColorOrder::Bgr
    } else {
        ColorOrder::Rgb
    };
    let inversion = match glass.invert {
        true => ColorInversion::Inverted,
        false => ColorInversion::Normal,
    };
    Builder::new(model, wire)
        .reset_pin(reset)
        .display_size(width, height)
        .display_offset(window.offset.0, window.offset.1)
        .orientation(orientation)
        .color_order(order)
        .invert_colors(inversion)
        .init(delay)
        .map_err(|error| format!("{error:?}"))
}

struct Started<D, W> {
    display: D,
    delay: W,
}

/// A pixel as a controller takes it.
trait Pixel: Sized {
    fn of(pixel: &Rgb<u8>, x: u32, y: u32) -> Self;
}

impl Pixel for Rgb565 {
    fn of(pixel: &Rgb<u8>, x: u32, y: u32) -> Self {
        RawU16::new(to_rgb565(pixel, x, y)).into()
    }
}

impl Pixel for Rgb666 {
    fn of(&Rgb([r, g, b]): &Rgb<u8>, _: u32, _: u32) -> Self {
        Self::new(r >> 2, g >> 2, b >> 2)
    }
}

impl<S, D, M, R, W> Rows for Started<Display<Wire<S, D>, M, R>, W>
where
    S: SpiDevice + Send,
    D: OutputPin + Send,
    M: Model<ColorFormat: Pixel + InterfacePixelFormat<u8>> + Send,
    R: OutputPin + Send,
    W: DelayNs + Send,
{
    fn send(&mut self, frame: &RgbImage, top: u32, count: u32) -> Result<(), String> {
        let row_pixels = frame.width() as usize;
        let pixels = frame
            .pixels()
            .enumerate()
            .skip(top as usize * row_pixels)
            .take(count as usize * row_pixels)
            .map(|(at, pixel)| {
                Pixel::of(pixel, (at % row_pixels) as u32, (at / row_pixels) as u32)
            });
        // The frame is as large as the window, whose sides are 16 bits.
        let (right, bottom) = (frame.width() - 1, top + count - 1);
        let side = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        self.display
            .set_pixels(0, side(top), side(right), side(bottom), pixels)
            .map_err(|error| error.to_string())
    }

    fn sleep(&mut self, asleep: bool) -> Result<(), String> {
        match asleep {
            true => self.display.sleep(&mut self.delay),
            false => self.display.wake(&mut self.delay),
        }
        .map_err(|error| error.to_string())
    }
}

/// Bytes gathered before the bus is used.
const BUFFER: usize = 4096;

/// A serial bus of four lines, the fourth of which tells data from commands.
struct Wire<S, D> {
    spi: S,
    dc: D,
    buffer: Vec<u8>,
}

/// What went wrong on it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WireError(String);

impl WireError {
    fn new(error: impl Debug) -> Self {
        Self(format!("{error:?}"))
    }
}

impl<S: SpiDevice, D: OutputPin> Wire<S, D> {
    fn write_out(&mut self) -> Result<(), WireError> {
        if !self.buffer.is_empty() {
            self.spi.write(&self.buffer).map_err(WireError::new)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl<S: SpiDevice, D: OutputPin> Interface for Wire<S, D> {
    type Word = u8;
    type Error = WireError;

    const KIND: InterfaceKind = InterfaceKind::Serial4Line;

    fn send_command(&mut self, command: u8, arguments: &[u8]) -> Result<(), WireError> {
        self.dc.set_low().map_err(WireError::new)?;
        self.spi.write(&[command]).map_err(WireError::new)?;
        self.dc.set_high().map_err(WireError::new)?;
        match arguments {
            [] => Ok(()),
            some => self.spi.write(some).map_err(WireError::new),
        }
    }

    fn send_pixels<const N: usize>(
        &mut self,
        pixels: impl IntoIterator<Item = [u8; N]>,
    ) -> Result<(), WireError> {
        self.buffer.clear();
        for pixel in pixels {
            if self.buffer.len() + N > BUFFER {
                self.write_out()?;
            }
            self.buffer.extend_from_slice(&pixel);
        }
        self.write_out()
    }

    fn send_repeated_pixel<const N: usize>(
        &mut self,
        pixel: [u8; N],
        count: u32,
    ) -> Result<(), WireError> {
        self.send_pixels((0..count).map(|_| pixel))
    }
}
