//! Which papers there are, and what their controllers are told.
//!
//! The makers publish the numbers as examples rather than explain them: Waveshare's `EPD_7in3e`, `EPD_7in3f`,
//! `EPD_5in65f`, `EPD_7in5b_V2` and `EPD_5in83b_V2`, Pimoroni's `inky_e673`. The names of commands are those of the
//! controllers' data sheets (UC8159c for the 5.65″, UC8179 for the two-plane papers).

use super::colours::Palette;
use serde::{Deserialize, Serialize};

/// A paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum EpaperModel {
    /// 7.3″ Spectra 6: Waveshare 7.3inch e-Paper HAT (E), Pimoroni Inky Impression 7.3″ of 2025.
    #[serde(rename = "7in3e")]
    Spectra7in3,
    /// 7.3″ of seven colours: Waveshare 7.3inch e-Paper HAT (F), the older Inky Impression 7.3″.
    #[serde(rename = "7in3f")]
    Seven7in3,
    /// 5.65″ of seven colours: Waveshare 5.65inch e-Paper HAT (F).
    #[serde(rename = "5in65f")]
    Seven5in65,
    /// 7.5″ black, white and red: Waveshare 7.5inch e-Paper HAT (B) V2.
    #[serde(rename = "7in5b")]
    Red7in5,
    /// 5.83″ black, white and red: Waveshare 5.83inch e-Paper HAT (B) V2.
    #[serde(rename = "5in83b")]
    Red5in83,
}

/// What a controller is told, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A command and its data.
    Send(u8, &'static [u8]),
    /// Until it is not busy: BUSY is high.
    Ready,
    /// Until BUSY is low: some controllers end so when their power is off.
    Low,
    /// Milliseconds.
    Pause(u32),
}

/// How pixels are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Four bits a pixel, the left one high, after one command (DTM, 0x10): the inks' codes.
    Nibbles(&'static [u8]),
    /// One bit a pixel and two planes: white is 1 after DTM1 (0x10), red is 1 after DTM2 (0x13).
    Planes,
}

/// All that a driver knows of a paper.
pub(super) struct Sheet {
    pub(super) size: (u32, u32),
    pub(super) packing: Packing,
    /// How long the reset line rests before, is low, and rests after, in milliseconds.
    pub(super) reset_ms: [u32; 3],
    /// A command before each look at BUSY, for controllers that set it only when they are asked.
    pub(super) ask: Option<u8>,
    /// After the reset.
    pub(super) start: &'static [Step],
    /// After the pixels, before the refresh.
    pub(super) power_on: &'static [Step],
    /// The refresh's data.
    pub(super) refresh: &'static [u8],
    /// After the refresh, before deep sleep.
    pub(super) power_off: &'static [Step],
}

use Step::{Low, Pause, Ready, Send};

static SPECTRA_7IN3: Sheet = Sheet {
    size: (800, 480),
    // Four is nothing.
    packing: Packing::Nibbles(&[0, 1, 2, 3, 5, 6]),
    reset_ms: [20, 2, 20],
    ask: None,
    start: &[
        Ready,
        Pause(30),
        Send(0xaa, &[0x49, 0x55, 0x20, 0x08, 0x09, 0x18]), // CMDH: opens the commands of the maker
        Send(0x01, &[0x3f]),                               // PWR
        Send(0x00, &[0x5f, 0x69]),                         // PSR
        Send(0x03, &[0x00, 0x54, 0x00, 0x44]),             // POFS
        Send(0x05, &[0x40, 0x1f, 0x1f, 0x2c]),             // BTST1: the booster's soft start
        Send(0x06, &[0x6f, 0x1f, 0x17, 0x49]),             // BTST2
        Send(0x08, &[0x6f, 0x1f, 0x1f, 0x22]),             // BTST3
        Send(0x30, &[0x03]),                               // PLL
        Send(0x50, &[0x3f]),                               // CDI
        Send(0x60, &[0x02, 0x00]),                         // TCON
        Send(0x61, &[0x03, 0x20, 0x01, 0xe0]),             // TRES: 800×480
        Send(0x84, &[0x01]),                               // T_VDCS
        Send(0xe3, &[0x2f]),                               // PWS
    ],
    power_on: &[
        Send(0x04, &[]), // PON
        Ready,
        Send(0x06, &[0x6f, 0x1f, 0x17, 0x49]), // BTST2 once more
    ],
    refresh: &[0x00],
    power_off: &[Send(0x02, &[0x00]), Ready], // POF
};

static SEVEN_7IN3: Sheet = Sheet {
    size: (800, 480),
    packing: Packing::Nibbles(&[0, 1, 2, 3, 4, 5, 6]),
    reset_ms: [20, 2, 20],
    ask: None,
    start: &[
        Ready,
        Pause(30),
        Send(0xaa, &[0x49, 0x55, 0x20, 0x08, 0x09, 0x18]), // CMDH
        Send(0x01, &[0x3f, 0x00, 0x32, 0x2a, 0x0e, 0x2a]), // PWR
        Send(0x00, &[0x5f, 0x69]),                         // PSR
        Send(0x03, &[0x00, 0x54, 0x00, 0x44]),             // POFS
        Send(0x05, &[0x40, 0x1f, 0x1f, 0x2c]),             // BTST1
        Send(0x06, &[0x6f, 0x1f, 0x1f, 0x22]),             // BTST2
        Send(0x08, &[0x6f, 0x1f, 0x1f, 0x22]),             // BTST3
        Send(0x13, &[0x00, 0x04]),                         // IPC
        Send(0x30, &[0x3c]),                               // PLL
        Send(0x41, &[0x00]),                               // TSE: its own thermometer
        Send(0x50, &[0x3f]),                               // CDI
        Send(0x60, &[0x02, 0x00]),                         // TCON
        Send(0x61, &[0x03, 0x20, 0x01, 0xe0]),             // TRES
        Send(0x82, &[0x1e]),                               // VDCS
        Send(0x84, &[0x00]),                               // T_VDCS
        Send(0x86, &[0x00]),                               // AGID
        Send(0xe3, &[0x2f]),                               // PWS
        Send(0xe0, &[0x00]),                               // CCSET
        Send(0xe6, &[0x00]),                               // TSSET
    ],
    power_on: &[Send(0x04, &[]), Ready],
    refresh: &[0x00],
    power_off: &[Send(0x02, &[0x00]), Ready],
};

static SEVEN_5IN65: Sheet = Sheet {
    size: (600, 448),
    packing: Packing::Nibbles(&[0, 1, 2, 3, 4, 5, 6]),
    reset_ms: [10, 2, 10],
    ask: None,
    start: &[
        Ready,
        Send(0x00, &[0xef, 0x08]),             // PSR
        Send(0x01, &[0x37, 0x00, 0x23, 0x23]), // PWR
        Send(0x03, &[0x00]),                   // PFS
        Send(0x06, &[0xc7, 0xc7, 0x1d]),       // BTST
        Send(0x30, &[0x3c]),                   // PLL: 50 Hz
        Send(0x40, &[0x00]),                   // TSC
        Send(0x50, &[0x37]),                   // CDI: a white border
        Send(0x60, &[0x22]),                   // TCON
        Send(0x61, &[0x02, 0x58, 0x01, 0xc0]), // TRES: 600×448
        Send(0xe3, &[0xaa]),                   // PWS
        Pause(100),
        Send(0x50, &[0x37]),
        Ready,
        Send(0x50, &[0x37]),
        Send(0x61, &[0x02, 0x58, 0x01, 0xc0]),
    ],
    power_on: &[Ready, Send(0x04, &[]), Ready],
    refresh: &[],
    power_off: &[Send(0x02, &[]), Low],
};

static RED_7IN5: Sheet = Sheet {
    size: (800, 480),
    packing: Packing::Planes,
    reset_ms: [200, 2, 200],
    ask: Some(0x71), // FLG
    start: &[
        Send(0x01, &[0x07, 0x07, 0x3f, 0x3f]), // PWR: ±20 V for gates, ±15 V for sources
        Send(0x04, &[]),                       // PON
        Ready,
        Send(0x00, &[0x0f]), // PSR: black, white and red, from the controller's own tables
        Send(0x61, &[0x03, 0x20, 0x01, 0xe0]), // TRES
        Send(0x15, &[0x00]), // DUSPI: one data line
        Send(0x50, &[0x11, 0x07]), // CDI
        Send(0x60, &[0x22]), // TCON
        Send(0x65, &[0x00, 0x00, 0x00, 0x00]), // GSST
        Ready,
    ],
    power_on: &[Ready],
    refresh: &[],
    power_off: &[Send(0x02, &[]), Ready],
};

static RED_5IN83: Sheet = Sheet {
    size: (648, 480),
    packing: Packing::Planes,
    reset_ms: [10, 10, 10],
    ask: None,
    start: &[
        Send(0x06, &[0x17, 0x17, 0x1e, 0x17]), // BTST
        Send(0x01, &[0x07, 0x07, 0x3f, 0x3f]), // PWR
        Send(0x04, &[]),                       // PON
        Pause(5),
        Ready,
        Send(0x00, &[0x0f]),                   // PSR
        Send(0x61, &[0x02, 0x88, 0x01, 0xe0]), // TRES: 648×480
        Send(0x15, &[0x00]),                   // DUSPI
        Send(0x50, &[0x11, 0x07]),             // CDI
        Send(0x60, &[0x22]),                   // TCON
        Ready,
    ],
    power_on: &[Ready],
    refresh: &[],
    power_off: &[Send(0x02, &[]), Ready],
};

impl EpaperModel {
    pub(super) fn sheet(self) -> &'static Sheet {
        match self {
            Self::Spectra7in3 => &SPECTRA_7IN3,
            Self::Seven7in3 => &SEVEN_7IN3,
            Self::Seven5in65 => &SEVEN_5IN65,
            Self::Red7in5 => &RED_7IN5,
            Self::Red5in83 => &RED_5IN83,
        }
    }

    /// Columns and rows.
    #[must_use]
    pub fn size(self) -> (u32, u32) {
        self.sheet().size
    }

    pub(super) fn palette(self) -> Palette {
        match self {
            Self::Spectra7in3 => Palette::Spectra6,
            Self::Seven7in3 | Self::Seven5in65 => Palette::Seven,
            Self::Red7in5 | Self::Red5in83 => Palette::BlackWhiteRed,
        }
    }
}
