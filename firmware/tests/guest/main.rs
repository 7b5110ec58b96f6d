//! Panels and inputs on a real kernel: Debian's own, booted in a virtual machine with a screen and a keyboard.
//!
//! The machine runs this very program: [`inside`] is what happens in there, [`outside`] what happens around it. They talk
//! over a serial line: the inside names a step, the outside does its part (looks at the screen, presses a key, pulls the
//! plug) and lets the inside go on.
#![cfg(target_arch = "x86_64")]
#![allow(
    clippy::unwrap_used,
    reason = "a test, whose helpers are functions of their own"
)]

mod inside;
mod machine;
mod monitor;
mod outside;
mod ramdisk;

use image::{Rgb, RgbImage};

/// What is shown and looked for: every pixel differs from its neighbours, and from the same pixel of another kind.
fn pattern(width: u32, height: u32, kind: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as u8, y as u8);
        Rgb([
            x.wrapping_mul(3).wrapping_add(kind),
            y.wrapping_mul(5) ^ kind,
            x ^ y,
        ])
    })
}
