//! Drives a paper as its sheet says.

use super::Refresh;
use super::models::{EpaperModel, Packing, Sheet, Step};
use crate::display::panels::bus::Optional;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::spi::SpiDevice;
use std::fmt::Debug;

const DTM1: u8 = 0x10;
const DTM2: u8 = 0x13;
const DISPLAY_REFRESH: u8 = 0x12;
const POWER_OFF: u8 = 0x02;
/// Left only by a reset; the data makes sure that it is meant.
const DEEP_SLEEP: (u8, u8) = (0x07, 0xa5);

/// How often BUSY is looked at, in milliseconds.
const LOOK_EVERY_MS: u32 = 10;
/// Powering on and off takes a tenth of a second.
const READY_WITHIN_MS: u32 = 10_000;
/// A refresh takes 12 to 45 seconds, longer in the cold.
const REFRESHED_WITHIN_MS: u32 = 120_000;
/// No refresh is done so soon. A line that says so is a cable that hangs loose, pulled up.
const BUSY_WITHIN_MS: u32 = 2_000;

/// A paper and its wires.
pub(super) struct Driver<S, D, R, B, P: OutputPin, W> {
    sheet: &'static Sheet,
    spi: S,
    dc: D,
    reset: R,
    busy: B,
    power: Optional<P>,
    delay: W,
}

impl<S, D, R, B, P, W> Driver<S, D, R, B, P, W>
where
    S: SpiDevice,
    D: OutputPin,
    R: OutputPin,
    B: InputPin,
    P: OutputPin,
    W: DelayNs,
{
    pub(super) fn new(
        model: EpaperModel,
        (spi, dc, reset, busy, power, delay): (S, D, R, B, Optional<P>, W),
    ) -> Self {
        Self {
            sheet: model.sheet(),
            spi,
            dc,
            reset,
            busy,
            power,
            delay,
        }
    }

    fn show(&mut self, inks: &[u8]) -> Result<(), String> {
        let sheet = self.sheet;
        self.wake()?;
        self.run(sheet.start)?;
        match sheet.packing {
            Packing::Nibbles(codes) => self.send(DTM1, &nibbles(inks, codes))?,
            Packing::Planes => {
                let width = sheet.size.0 as usize;
                self.send(DTM1, &plane(inks, width, |ink| ink == 1))?;
                self.send(DTM2, &plane(inks, width, |ink| ink == 2))?;
            }
        }
        self.run(sheet.power_on)?;
        self.send(DISPLAY_REFRESH, sheet.refresh)?;
        self.wait("it does not answer: BUSY stays high", false, BUSY_WITHIN_MS)?;
        self.wait(
            "BUSY stays low: the refresh does not end",
            true,
            REFRESHED_WITHIN_MS,
        )?;
        self.run(sheet.power_off)
    }

    fn wake(&mut self) -> Result<(), String> {
        let [before, low, after] = self.sheet.reset_ms;

        if self.power.0.is_some() {
            self.power.set_high().map_err(said)?;
            self.delay.delay_ms(100);
        }
        self.reset.set_high().map_err(said)?;
        self.delay.delay_ms(before);
        self.reset.set_low().map_err(said)?;
        self.delay.delay_ms(low);
        self.reset.set_high().map_err(said)?;
        self.delay.delay_ms(after);
        Ok(())
    }

    /// Power off and deep sleep, whatever state it is in and whatever fails.
    fn sleep(&mut self, powered: bool) -> Result<(), String> {
        let off = match powered {
            true => self
                .send(POWER_OFF, &[0x00])
                .map(|()| self.delay.delay_ms(200)),
            false => Ok(()),
        };
        let (sleep, check) = DEEP_SLEEP;
        let asleep = self.send(sleep, &[check]);
        let cut = self.power.set_low().map_err(said);
        off.and(asleep).and(cut)
    }

    fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            match *step {
                Step::Send(command, data) => self.send(command, data)?,
                Step::Ready => self.wait("BUSY stays low", true, READY_WITHIN_MS)?,
                Step::Low => self.wait("BUSY stays high", false, READY_WITHIN_MS)?,
                Step::Pause(ms) => self.delay.delay_ms(ms),
            }
        }
        Ok(())
    }

    fn send(&mut self, command: u8, data: &[u8]) -> Result<(), String> {
        self.dc.set_low().map_err(said)?;
        self.spi.write(&[command]).map_err(said)?;
        if !data.is_empty() {
            self.dc.set_high().map_err(said)?;
            self.spi.write(data).map_err(said)?;
        }
        Ok(())
    }

    /// Until BUSY is as wanted.
    fn wait(&mut self, otherwise: &str, high: bool, within_ms: u32) -> Result<(), String> {
        for _ in 0..=within_ms / LOOK_EVERY_MS {
            if let Some(ask) = self.sheet.ask {
                self.send(ask, &[])?;
            }
            if self.busy.is_high().map_err(said)? == high {
                return Ok(());
            }
            self.delay.delay_ms(LOOK_EVERY_MS);
        }
        Err(format!("{otherwise} for {} s", within_ms / 1000))
    }
}

impl<S, D, R, B, P, W> Refresh for Driver<S, D, R, B, P, W>
where
    S: SpiDevice + Send,
    D: OutputPin + Send,
    R: OutputPin + Send,
    B: InputPin + Send,
    P: OutputPin + Send,
    W: DelayNs + Send,
{
    fn refresh(&mut self, inks: &[u8]) -> Result<(), String> {
        let shown = self.show(inks);
        // What went wrong first is what is told.
        let asleep = self.sleep(shown.is_err());
        shown.and(asleep)
    }
}

/// Every ink's code in four bits, the left pixel's high.
fn nibbles(inks: &[u8], codes: &[u8]) -> Vec<u8> {
    let code = |ink: u8| codes.get(usize::from(ink)).copied().unwrap_or_default();
    inks.chunks(2)
        .map(|pair| code(pair[0]) << 4 | pair.get(1).map_or(0, |&ink| code(ink)))
        .collect()
}

/// One bit a pixel, the left one highest, each row from a byte of its own.
fn plane(inks: &[u8], width: usize, is_one: impl Fn(u8) -> bool) -> Vec<u8> {
    inks.chunks(width)
        .flat_map(|row| row.chunks(8))
        .map(|eight| {
            let bits = (0..8).zip(eight);
            bits.fold(0, |byte, (bit, &ink)| {
                byte | u8::from(is_one(ink)) << (7 - bit)
            })
        })
        .collect()
}

fn said(error: impl Debug) -> String {
    format!("{error:?}")
}

impl<S, D, R, B, P: OutputPin, W> Drop for Driver<S, D, R, B, P, W> {
    fn drop(&mut self) {
        // A refresh ends in deep sleep, so only the HAT's own power may still be on.
        let _ = self.power.set_low();
    }
}
