//! `/dev/fb0`: the kernel's old framebuffer, for boards whose screen has nothing newer.
//!
//! The pixels are written as the driver lays them out: `FBIOGET_VSCREENINFO` and `FBIOGET_FSCREENINFO`, see the kernel's
//! `Documentation/fb/api.rst` and `linux/fb.h`.

use super::fault;
use super::letterboxed;
use crate::display::{Manner, Panel, PanelError};
use image::{Rgb, RgbImage};
use rustix::ioctl::{Getter, IntegerSetter, ioctl};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The `[panel.fb]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FbSettings {
    /// The device's node.
    pub device: PathBuf,
}

impl Default for FbSettings {
    fn default() -> Self {
        let device = PathBuf::from("/dev/fb0");
        Self { device }
    }
}

/// A framebuffer device.
pub struct FbPanel {
    settings: FbSettings,
    size: (u32, u32),
    open: Option<(File, Layout)>,
    /// It is dark by being black: its driver cannot switch the light off.
    black: bool,
}

impl FbPanel {
    /// Opens the device and asks how its memory is laid out.
    ///
    /// # Errors
    /// It is not there, may not be used, or has pixels of less than 16 bits.
    pub fn open(settings: &FbSettings, size: (u32, u32)) -> Result<Self, PanelError> {
        let settings = settings.clone();
        let open = Some(opened(&settings)?);
        Ok(Self {
            settings,
            size,
            open,
            black: false,
        })
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&File, &Layout) -> io::Result<T>,
    ) -> Result<T, PanelError> {
        let (file, layout) = match &self.open {
            Some(open) => open,
            None => self.open.insert(opened(&self.settings)?),
        };
        act(file, layout).map_err(|error| {
            self.open = None;
            let advice = "the next frame is tried anew";
            fault(self.settings.device.display(), error, advice)
        })
    }
}

impl Panel for FbPanel {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn manner(&self) -> Manner {
        Manner::Light {
            frames_per_second: 20.0,
        }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        if self.black {
            return Ok(());
        }
        self.with(|file, layout| {
            let screen = letterboxed(frame, layout.size);
            // All at once: Linux 6.1 takes the write of one whole line for a change of nothing, and does not show it.
            file.write_all_at(&layout.bytes_of(&screen), layout.start)
        })
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        self.black = false;
        let (switched, size) = self.with(|file, layout| Ok((blank(file, dark), layout.size)))?;
        if dark && switched.is_err() {
            self.show(&RgbImage::new(size.0, size.1))?;
            self.black = true;
        }
        Ok(())
    }
}

fn opened(settings: &FbSettings) -> Result<(File, Layout), PanelError> {
    let device = settings.device.display();
    let advice = "correct panel.fb.device, and add the user of easel to the group `video`";
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&settings.device)
        .map_err(|error| fault(device, error, advice))?;
    let (variable, fixed) = ask(&file).map_err(|error| {
        fault(
            settings.device.display(),
            error,
            "correct panel.fb.device: it is no framebuffer",
        )
    })?;
    let layout = Layout::new(&variable, fixed.line_length).map_err(|problem| {
        fault(
            settings.device.display(),
            problem,
            "set 16 or 32 with fbset",
        )
    })?;
    Ok((file, layout))
}

/// `struct fb_var_screeninfo`: forty numbers, of which the first seventeen say how a pixel is stored.
type Variable = [u32; 40];

/// `struct fb_fix_screeninfo`.
#[repr(C)]
struct Fixed {
    id: [u8; 16],
    memory_start: usize,
    memory_length: u32,
    kind: [u32; 3],
    steps: [u16; 3],
    line_length: u32,
    registers_start: usize,
    registers_length: u32,
    acceleration: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

const FBIOGET_VSCREENINFO: u32 = 0x4600;
const FBIOGET_FSCREENINFO: u32 = 0x4602;
const FBIOBLANK: u32 = 0x4611;

#[allow(
    unsafe_code,
    reason = "two questions to the kernel, which no crate asks without libclang"
)]
fn ask(file: &File) -> io::Result<(Variable, Fixed)> {
    // SAFETY: the kernel writes one `struct fb_var_screeninfo`, which is as large and as aligned as `Variable`, and
    // any bits are numbers.
    let variable = unsafe { ioctl(file, Getter::<FBIOGET_VSCREENINFO, Variable>::new()) }?;
    // SAFETY: the kernel writes one `struct fb_fix_screeninfo`; `Fixed` has its fields in its order (`unsigned long` is
    // `usize` on Linux), and any bits are numbers.
    let fixed = unsafe { ioctl(file, Getter::<FBIOGET_FSCREENINFO, Fixed>::new()) }?;
    Ok((variable, fixed))
}

#[allow(
    unsafe_code,
    reason = "one question to the kernel, which no crate asks without libclang"
)]
fn blank(file: &File, dark: bool) -> io::Result<()> {
    // `FB_BLANK_POWERDOWN` and `FB_BLANK_UNBLANK`.
    let level = if dark { 4 } else { 0 };
    // SAFETY: `FBIOBLANK` takes a number, not a pointer.
    unsafe { ioctl(file, IntegerSetter::<FBIOBLANK>::new_usize(level)) }.map_err(io::Error::from)
}

/// Where pixels lie.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    /// What is seen, in pixels.
    size: (u32, u32),
    /// The first pixel that is seen, in bytes.
    start: u64,
    /// From one row to the next, in bytes.
    line: u64,
    /// A pixel, in bytes.
    bytes: usize,
    /// Red, green and blue within it: the lowest bit, and how many.
    fields: [(u32, u32); 3],
}

impl Layout {
    fn new(variable: &Variable, line: u32) -> Result<Self, String> {
        let [width, height, _, _, left, top, bits, ..] = *variable;
        if !matches!(bits, 16 | 24 | 32) {
            return Err(format!("{bits} bits a pixel"));
        }
        // Red, green and blue: offset, length and order of bits each, from the ninth number.
        let fields = [8, 11, 14].map(|at| (variable[at], variable[at + 1]));
        if fields
            .iter()
            .any(|&(offset, length)| length > 8 || offset + length > bits)
        {
            return Err(format!("colours at {fields:?} of {bits} bits"));
        }
        if width == 0 || height == 0 || u64::from(line) < u64::from(width) * u64::from(bits / 8) {
            return Err(format!("{width}×{height} pixels in lines of {line} bytes"));
        }
        let (line, bytes) = (u64::from(line), bits / 8);
        Ok(Self {
            size: (width, height),
            start: u64::from(top) * line + u64::from(left) * u64::from(bytes),
            line,
            bytes: bytes as usize,
            fields,
        })
    }

    /// From the first pixel that is seen to the last; what lies between lines is nothing to be seen.
    fn bytes_of(&self, screen: &RgbImage) -> Vec<u8> {
        let line = self.line as usize;
        let mut bytes = Vec::with_capacity(line * screen.height() as usize);
        for (y, row) in screen.rows().enumerate() {
            bytes.resize(y * line, 0);
            row.for_each(|pixel| self.push(&mut bytes, pixel));
        }
        bytes
    }

    fn push(&self, line: &mut Vec<u8>, pixel: &Rgb<u8>) {
        let mut word = 0;
        for (value, (offset, length)) in pixel.0.into_iter().zip(self.fields) {
            word |= (u32::from(value) >> (8 - length)) << offset;
        }
        line.extend_from_slice(&word.to_ne_bytes()[..self.bytes]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen of 4×2 with the given bits and offsets and lengths of red, green and blue.
    fn variable(bits: u32, fields: [(u32, u32); 3]) -> Variable {
        let mut variable = [0; 40];
        variable[..7].copy_from_slice(&[4, 2, 4, 4, 0, 2, bits]);
        for (colour, (offset, length)) in fields.into_iter().enumerate() {
            variable[8 + colour * 3] = offset;
            variable[9 + colour * 3] = length;
        }
        variable
    }

    fn bytes_of(bits: u32, fields: [(u32, u32); 3], pixel: [u8; 3]) -> Vec<u8> {
        let layout = Layout::new(&variable(bits, fields), 64).unwrap();
        let mut line = Vec::new();
        layout.push(&mut line, &Rgb(pixel));
        line
    }

    #[test]
    fn pixels_lie_as_the_driver_says() {
        // Little-endian, as are all the machines that it runs on.
        let xrgb = [(16, 8), (8, 8), (0, 8)];
        assert_eq!(bytes_of(32, xrgb, [1, 2, 3]), [3, 2, 1, 0]);
        assert_eq!(bytes_of(24, xrgb, [1, 2, 3]), [3, 2, 1]);
        assert_eq!(
            bytes_of(24, [(0, 8), (8, 8), (16, 8)], [1, 2, 3]),
            [1, 2, 3]
        );
        let rgb565 = [(11, 5), (5, 6), (0, 5)];
        assert_eq!(bytes_of(16, rgb565, [255, 0, 0]), 0xf800_u16.to_le_bytes());
        assert_eq!(bytes_of(16, rgb565, [0, 255, 0]), 0x07e0_u16.to_le_bytes());
    }

    #[test]
    fn rows_begin_where_the_screen_is_panned_to() {
        let layout = Layout::new(&variable(32, [(16, 8), (8, 8), (0, 8)]), 64).unwrap();
        assert_eq!((layout.size, layout.start, layout.line), ((4, 2), 128, 64));
        let bytes = layout.bytes_of(&RgbImage::from_pixel(4, 2, Rgb([1, 2, 3])));
        // The last line ends with its last pixel.
        assert_eq!(bytes.len(), 64 + 4 * 4);
        assert_eq!(bytes[..4], [3, 2, 1, 0]);
        assert_eq!(bytes[16..64], [0; 48]);
        assert_eq!(bytes[64..68], [3, 2, 1, 0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let xrgb = [(16, 8), (8, 8), (0, 8)];
        assert!(
            Layout::new(&variable(8, xrgb), 64)
                .unwrap_err()
                .contains("8 bits")
        );
        assert!(Layout::new(&variable(16, xrgb), 64).is_err());
        assert!(Layout::new(&variable(32, xrgb), 15).is_err());
        assert!(Layout::new(&[0; 40], 0).is_err());
    }

    #[test]
    fn what_is_no_framebuffer_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = file.path().to_owned();
        let error = FbPanel::open(&FbSettings { device }, (4, 2)).err().unwrap();
        assert!(error.to_string().contains("no framebuffer"), "{error}");
        let settings = FbSettings {
            device: "/nonexistent".into(),
        };
        let error = FbPanel::open(&settings, (4, 2)).err().unwrap();
        assert!(error.to_string().contains("panel.fb.device"), "{error}");
    }
}
