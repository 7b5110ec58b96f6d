//! A screen that is connected: its mode is set, and two buffers are its own.

use super::super::fault;
use super::card::Card;
use super::choose::{self, Offer, Timing};
use crate::display::PanelError;
use crate::display::dither::to_rgb565;
use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::{
    Device as _, Mode, ModeTypeFlags, PageFlipFlags, connector, crtc, dumbbuffer::DumbBuffer,
    framebuffer, property,
};
use image::RgbImage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::path::Path;

/// A flip is done at the next vertical blank; a driver that says nothing for so long will not.
const FLIP_TAKES_AT_MOST: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// `DRM_MODE_DPMS_ON` and `DRM_MODE_DPMS_OFF` of `drm/drm_mode.h`.
const DPMS: [u64; 2] = [0, 3];

/// All that showing takes. Dropped, the kernel frees it with the card's file.
pub(super) struct Link {
    card: Card,
    name: String,
    connector: connector::Handle,
    crtc: crtc::Handle,
    mode: Mode,
    buffers: [Framebuffer; 2],
    /// The one that is drawn to.
    back: usize,
    /// The mode is set, so that a flip suffices.
    set: bool,
    dpms: Option<property::Handle>,
}

struct Framebuffer {
    memory: DumbBuffer,
    handle: framebuffer::Handle,
}

impl Link {
    pub(super) fn open(
        devices: &Path,
        name: Option<&str>,
        size: (u32, u32),
    ) -> Result<Self, PanelError> {
        let cards = Card::all(devices)?;
        let mut offers = Vec::new();
        for (place, card) in cards.iter().enumerate() {
            let resources = card
                .resource_handles()
                .map_err(|error| card.fault("its connectors", &error))?;
            for &handle in resources.connectors() {
                // Asks the screen itself: this is where a new one is found.
                if let Ok(info) = card.get_connector(handle, true) {
                    offers.push((place, info));
                }
            }
        }
        let said: Vec<Offer> = offers
            .iter()
            .map(|(_, info)| Offer {
                name: info.to_string(),
                connected: info.state() == connector::State::Connected && !info.modes().is_empty(),
            })
            .collect();
        let chosen = choose::connector(&said, name).map_err(PanelError)?;
        let (place, info) = offers.swap_remove(chosen);
        let card = cards
            .into_iter()
            .nth(place)
            .expect("the place was counted over the same cards");
        card.become_master()?;
        Self::on(card, &info, size)
    }

    fn on(card: Card, info: &connector::Info, size: (u32, u32)) -> Result<Self, PanelError> {
        let timings: Vec<Timing> = info.modes().iter().map(timing_of).collect();
        let mode = choose::timing(&timings, size)
            .map(|place| info.modes()[place])
            .ok_or_else(|| fault(info, "it offers no mode", "plug it in again"))?;
        let crtc = crtc_for(&card, info).map_err(|e| card.fault("its CRTCs", &e))?;
        let size = timing_of(&mode).size;
        let new = || framebuffer(&card, size).map_err(|e| card.fault("memory for a frame", &e));
        let buffers = [new()?, new()?];
        Ok(Self {
            name: info.to_string(),
            connector: info.handle(),
            dpms: dpms_of(&card, info.handle()),
            crtc,
            mode,
            buffers,
            back: 0,
            set: false,
            card,
        })
    }

    pub(super) fn describe(&self) -> String {
        let (width, height) = self.size();
        format!("{}, {width}×{height}", self.name)
    }

    pub(super) fn size(&self) -> (u32, u32) {
        timing_of(&self.mode).size
    }

    /// As the kernel last saw it; costs nothing.
    pub(super) fn is_connected(&self) -> bool {
        let state = self.card.get_connector(self.connector, false);
        state.is_ok_and(|info| info.state() == connector::State::Connected)
    }

    /// Writes a frame of the mode's size into the buffer that is not shown.
    pub(super) fn draw(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        let back = &mut self.buffers[self.back].memory;
        let (pitch, format) = (back.pitch() as usize, back.format());
        let mut map = self
            .card
            .map_dumb_buffer(back)
            .map_err(|error| self.card.fault("the frame's memory", &error))?;
        for (y, (row, line)) in frame.rows().zip(map.chunks_exact_mut(pitch)).enumerate() {
            match format {
                DrmFourcc::Rgb565 => {
                    for (x, (pixel, out)) in row.zip(line.as_chunks_mut().0).enumerate() {
                        *out = to_rgb565(pixel, x as u32, y as u32).to_le_bytes();
                    }
                }
                // XRGB8888 is little-endian: blue comes first.
                _ => {
                    for (pixel, out) in row.zip(line.as_chunks_mut().0) {
                        *out = [pixel.0[2], pixel.0[1], pixel.0[0], 0];
                    }
                }
            }
        }
        Ok(())
    }

    /// Shows what was drawn.
    pub(super) fn flip(&mut self) -> Result<(), PanelError> {
        if self.set && self.page_flip().is_ok() {
            self.back = 1 - self.back;
            return Ok(());
        }
        self.wake()?;
        self.back = 1 - self.back;
        Ok(())
    }

    fn page_flip(&self) -> io::Result<()> {
        let shown = self.buffers[self.back].handle;
        let flags = PageFlipFlags::EVENT;
        self.card.page_flip(self.crtc, shown, flags, None)?;
        let mut ready = [PollFd::new(&self.card, PollFlags::IN)];
        if poll(&mut ready, Some(&FLIP_TAKES_AT_MOST))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.card.receive_events().map(drop)
    }

    /// Sets the mode, which also lights the screen, and shows the buffer that was drawn to.
    pub(super) fn wake(&mut self) -> Result<(), PanelError> {
        let shown = self.buffers[self.back].handle;
        self.card
            .set_crtc(
                self.crtc,
                Some(shown),
                (0, 0),
                &[self.connector],
                Some(self.mode),
            )
            .map_err(|error| match error.kind() {
                // Master is lost when a desktop starts on another console.
                io::ErrorKind::PermissionDenied => match self.card.become_master() {
                    Err(refused) => refused,
                    Ok(()) => self.card.fault("the mode", &error),
                },
                _ => self.card.fault("the mode", &error),
            })?;
        self.set = true;
        if let Some(dpms) = self.dpms {
            let _ = self.card.set_property(self.connector, dpms, DPMS[0]);
        }
        // Panels that are sent frames, on SPI or in a virtual machine; all others answer that they need none.
        let _ = self.card.dirty_framebuffer(shown, &[]);
        Ok(())
    }

    /// Puts the screen to sleep; without such a switch, the CRTC is stopped, which does the same.
    pub(super) fn sleep(&mut self) -> Result<(), PanelError> {
        if !self.set {
            return Ok(());
        }
        self.set = false;
        let switched = self
            .dpms
            .map(|dpms| self.card.set_property(self.connector, dpms, DPMS[1]));
        if matches!(switched, Some(Ok(()))) {
            return Ok(());
        }
        self.card
            .set_crtc(self.crtc, None, (0, 0), &[], None)
            .map_err(|error| self.card.fault("switching it off", &error))
    }
}

fn timing_of(mode: &Mode) -> Timing {
    let (width, height) = mode.size();
    Timing {
        size: (width.into(), height.into()),
        refresh: mode.vrefresh(),
        preferred: mode.mode_type().contains(ModeTypeFlags::PREFERRED),
    }
}

/// The CRTC that the connector has now, or else the first that it can have and no other screen uses.
fn crtc_for(card: &Card, info: &connector::Info) -> io::Result<crtc::Handle> {
    let current = info
        .current_encoder()
        .and_then(|e| card.get_encoder(e).ok()?.crtc());
    if let Some(crtc) = current {
        return Ok(crtc);
    }
    let resources = card.resource_handles()?;
    let mut possible = Vec::new();
    for &encoder in info.encoders() {
        possible.extend(resources.filter_crtcs(card.get_encoder(encoder)?.possible_crtcs()));
    }
    let idle = |crtc: &&crtc::Handle| {
        card.get_crtc(**crtc)
            .is_ok_and(|c| c.framebuffer().is_none())
    };
    possible
        .iter()
        .find(idle)
        .or(possible.first())
        .copied()
        .ok_or_else(|| io::Error::other("there is none for this connector"))
}

/// 32 bits a pixel, which every driver of the kernel's takes, or else 16.
fn framebuffer(card: &Card, size: (u32, u32)) -> io::Result<Framebuffer> {
    let with = |format, depth, bits| {
        let memory = card.create_dumb_buffer(size, format, bits)?;
        let handle = card.add_framebuffer(&memory, depth, bits)?;
        Ok(Framebuffer { memory, handle })
    };
    with(DrmFourcc::Xrgb8888, 24, 32).or_else(|_: io::Error| with(DrmFourcc::Rgb565, 16, 16))
}

fn dpms_of(card: &Card, connector: connector::Handle) -> Option<property::Handle> {
    let properties = card.get_properties(connector).ok()?;
    let (handles, _) = properties.as_props_and_values();
    let is_dpms = |handle: &property::Handle| {
        let info = card.get_property(*handle);
        info.is_ok_and(|info| info.name() == c"DPMS")
    };
    handles.iter().copied().find(is_dpms)
}
