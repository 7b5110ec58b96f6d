//! A window on a desktop, through SDL 2.

use crate::display::panel::{Manner, Panel, PanelError};
use embedded_graphics::draw_target::DrawTarget as _;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics_simulator::{OutputSettings, SimulatorDisplay, SimulatorEvent, Window};
use image::RgbImage;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Between two looks at what the desktop wants of the window.
const PATIENCE: Duration = Duration::from_millis(30);

/// Frames for a window that lives on a thread of its own: SDL's handles may not change threads.
pub(super) struct WindowPanel {
    size: (u32, u32),
    frames: SyncSender<RgbImage>,
}

impl WindowPanel {
    pub(super) fn new(size: (u32, u32)) -> Result<Self, PanelError> {
        let (frames, come) = sync_channel(1);
        std::thread::Builder::new()
            .name("window".to_owned())
            .spawn(move || run(size, &come))
            .map_err(|error| PanelError(format!("panel: window: {error}: end other programs")))?;
        Ok(Self { size, frames })
    }
}

impl Panel for WindowPanel {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn manner(&self) -> Manner {
        Manner::Light {
            frames_per_second: 30.0,
        }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        match self.frames.try_send(frame.clone()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(frame)) => self.frames.send(frame).map_err(|_| closed()),
            Err(TrySendError::Disconnected(_)) => Err(closed()),
        }
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        if dark {
            return self.show(&RgbImage::new(self.size.0, self.size.1));
        }
        Ok(())
    }
}

fn closed() -> PanelError {
    PanelError("panel: the window is closed: restart the program to open it again".to_owned())
}

/// Shows what comes until the window is closed or the panel is dropped.
fn run((width, height): (u32, u32), frames: &Receiver<RgbImage>) {
    let mut window = Window::new("easel", &OutputSettings::default());
    let mut display = SimulatorDisplay::<Rgb888>::new(Size::new(width, height));
    window.update(&display);
    loop {
        match frames.recv_timeout(PATIENCE) {
            Ok(frame) => {
                let pixels = frame.pixels().map(|pixel| {
                    let [red, green, blue] = pixel.0;
                    Rgb888::new(red, green, blue)
                });
                let all = Rectangle::new(Point::zero(), Size::new(width, height));
                let Ok(()) = display.fill_contiguous(&all, pixels);
                window.update(&display);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if window
            .events()
            .any(|event| matches!(event, SimulatorEvent::Quit))
        {
            return;
        }
    }
}
