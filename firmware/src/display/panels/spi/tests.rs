use super::settings::{Glass, SpiModel};
use super::*;
use crate::display::panels::bus::recording::{Bus, Command, Done, Pin, commands_in};
use image::Rgb;
use proptest::prelude::*;

/// The MIPI display command set's numbers, as every controller here has them: ILI9341 datasheet 8.2, ST7789V 9.1.
const SWRESET: u8 = 0x01;
const SLPIN: u8 = 0x10;
const SLPOUT: u8 = 0x11;
const NORON: u8 = 0x13;
const INVOFF: u8 = 0x20;
const INVON: u8 = 0x21;
const DISPON: u8 = 0x29;
const CASET: u8 = 0x2a;
const RASET: u8 = 0x2b;
const RAMWR: u8 = 0x2c;
const MADCTL: u8 = 0x36;
const COLMOD: u8 = 0x3a;

fn window(width: u16, height: u16, offset: (u16, u16)) -> Window {
    let size = (width, height);
    Window { size, offset }
}

fn settings(model: SpiModel) -> SpiSettings {
    let model = Some(model);
    SpiSettings {
        model,
        ..SpiSettings::default()
    }
}

fn started(bus: &Bus, model: SpiModel, window: Window) -> Result<Box<dyn Rows>, String> {
    let wires = (
        bus.clone(),
        bus.pin("dc"),
        Optional(Some(bus.pin("reset"))),
        bus.clone(),
    );
    glass::start(model, wires, window, settings(model).glass(model))
}

/// A panel on a recording bus.
fn panel(bus: &Bus, model: SpiModel, (width, height): (u16, u16)) -> SpiPanel {
    let bus = bus.clone();
    let start = move || started(&bus, model, window(width, height, (0, 0))).map_err(PanelError);
    let size = (width.into(), height.into());
    SpiPanel::new(Box::new(start), Light::None, size, 30.0).unwrap()
}

fn names(commands: &[Command]) -> Vec<u8> {
    commands.iter().map(|command| command.0).collect()
}

fn data_of(commands: &[Command], name: u8) -> &[u8] {
    let found = commands.iter().find(|command| command.0 == name);
    &found
        .unwrap_or_else(|| panic!("no {name:#x} in {commands:x?}"))
        .1
}

#[test]
fn st7789_starts_as_its_datasheet_says() {
    let bus = Bus::default();
    started(&bus, SpiModel::St7789, window(240, 320, (0, 0))).unwrap();
    let log = bus.take();
    // 9.1.2 and 7.4.5: reset is low for at least 10 µs; 120 ms later commands are taken.
    assert_eq!(log[0], Done::Set("reset", false));
    let risen = log
        .iter()
        .position(|done| *done == Done::Set("reset", true))
        .unwrap();
    let slept: u64 = log[risen..]
        .iter()
        .take_while(|done| !matches!(done, Done::Wrote(_)))
        .map(|done| if let Done::Slept(ms) = done { *ms } else { 0 })
        .sum();
    assert!(slept >= 120, "{slept} ms");
    let commands = commands_in(&log);
    assert_eq!(
        names(&commands),
        [SLPOUT, MADCTL, INVON, COLMOD, NORON, DISPON]
    );
    // 9.1.28: columns and rows as built, red first. 9.1.32: 65 thousand colours at 16 bits.
    assert_eq!(data_of(&commands, MADCTL), [0x00]);
    assert_eq!(data_of(&commands, COLMOD), [0x55]);
}

#[test]
fn ili9341_starts_as_its_datasheet_says() {
    let bus = Bus::default();
    started(&bus, SpiModel::Ili9341, window(240, 320, (0, 0))).unwrap();
    let commands = bus.commands();
    // 8.2.29: MX, columns from the right, and BGR. 8.2.33: 16 bits. 8.3.2, 0xB4: column inversion off.
    assert_eq!(
        names(&commands),
        [MADCTL, 0xb4, INVOFF, COLMOD, NORON, SLPOUT, DISPON]
    );
    assert_eq!(data_of(&commands, MADCTL), [0x48]);
    assert_eq!(data_of(&commands, COLMOD), [0x55]);
}

#[test]
fn every_model_starts_and_takes_a_frame() {
    for (model, width, height, bytes_a_pixel) in [
        (SpiModel::St7735, 128, 160, 2),
        (SpiModel::St7789, 240, 240, 2),
        (SpiModel::St7796, 320, 480, 2),
        (SpiModel::Ili9341, 240, 320, 2),
        (SpiModel::Ili9486, 320, 480, 3),
        (SpiModel::Ili9488, 320, 480, 3),
        (SpiModel::Gc9a01, 240, 240, 2),
    ] {
        let bus = Bus::default();
        let mut panel = panel(&bus, model, (width, height));
        let commands = bus.commands();
        assert!(names(&commands).contains(&SLPOUT), "{model:?}");
        assert!(names(&commands).contains(&DISPON), "{model:?}");
        panel
            .show(&RgbImage::from_pixel(
                width.into(),
                height.into(),
                Rgb([255, 0, 0]),
            ))
            .unwrap();
        let commands = bus.commands();
        assert_eq!(names(&commands), [CASET, RASET, RAMWR], "{model:?}");
        let pixels = data_of(&commands, RAMWR);
        assert_eq!(
            pixels.len(),
            usize::from(width) * usize::from(height) * bytes_a_pixel
        );
        // Red: RGB565 with the high byte first, or six bits at the top of three bytes.
        let red: &[u8] = if bytes_a_pixel == 2 {
            &[0xf8, 0]
        } else {
            &[0xfc, 0, 0]
        };
        assert!(
            pixels.chunks(bytes_a_pixel).all(|pixel| pixel == red),
            "{model:?}"
        );
    }
}

#[test]
fn offsets_move_the_window() {
    // A 240×240 glass whose rows begin at the controller's row 80.
    let bus = Bus::default();
    let mut rows = started(&bus, SpiModel::St7789, window(240, 240, (0, 80))).unwrap();
    bus.take();
    rows.send(&RgbImage::new(240, 240), 10, 2).unwrap();
    let commands = bus.commands();
    // 9.1.20 and 9.1.21: first and last, high byte first.
    assert_eq!(data_of(&commands, CASET), [0, 0, 0, 239]);
    assert_eq!(data_of(&commands, RASET), [0, 90, 0, 91]);
}

#[test]
fn a_size_that_does_not_fit_says_what_would() {
    let bus = Bus::default();
    let error = started(&bus, SpiModel::St7789, window(320, 240, (0, 0)))
        .err()
        .unwrap();
    assert!(error.contains("panel.rotation = 90"), "{error}");
    assert!(started(&bus, SpiModel::St7789, window(240, 320, (1, 0))).is_err());
}

#[test]
fn what_did_not_change_is_not_sent() {
    let bus = Bus::default();
    let mut panel = panel(&bus, SpiModel::St7789, (240, 320));
    let mut frame = RgbImage::from_pixel(240, 320, Rgb([10, 20, 30]));
    panel.show(&frame).unwrap();
    bus.take();
    panel.show(&frame).unwrap();
    assert_eq!(bus.take(), []);
    frame.put_pixel(7, 100, Rgb([255, 255, 255]));
    frame.put_pixel(7, 101, Rgb([255, 255, 255]));
    frame.put_pixel(0, 319, Rgb([255, 255, 255]));
    panel.show(&frame).unwrap();
    let commands = bus.commands();
    assert_eq!(names(&commands), [CASET, RASET, RAMWR, CASET, RASET, RAMWR]);
    assert_eq!(commands[1].1, [0, 100, 0, 101]);
    assert_eq!(commands[2].1.len(), 2 * 240 * 2);
    assert_eq!(commands[4].1, [1, 63, 1, 63]);
}

#[test]
fn a_bus_that_fails_is_started_anew_and_gets_the_whole_frame() {
    let bus = Bus::default();
    let mut panel = panel(&bus, SpiModel::St7789, (240, 240));
    let frame = RgbImage::new(240, 240);
    panel.show(&frame).unwrap();
    bus.set_broken(true);
    let other = RgbImage::from_pixel(240, 240, Rgb([1, 2, 3]));
    let error = panel.show(&other).unwrap_err().to_string();
    assert!(
        error.contains("no such device") && !error.contains('\n'),
        "{error}"
    );
    assert!(panel.show(&other).is_err());
    bus.set_broken(false);
    bus.take();
    panel.show(&other).unwrap();
    let commands = bus.commands();
    assert_eq!(commands[0].0, SLPOUT);
    assert_eq!(data_of(&commands, RAMWR).len(), 240 * 240 * 2);
}

#[test]
fn a_dark_screen_sleeps_and_wakes() {
    let bus = Bus::default();
    let mut panel = panel(&bus, SpiModel::St7789, (240, 240));
    bus.take();
    panel.set_dark(true).unwrap();
    panel.set_dark(true).unwrap();
    assert_eq!(names(&bus.commands()), [SLPIN]);
    panel.set_dark(false).unwrap();
    assert_eq!(names(&bus.commands()), [SLPOUT]);
}

#[test]
fn a_screen_without_a_reset_line_is_reset_by_a_command() {
    let bus = Bus::default();
    let wires = (
        bus.clone(),
        bus.pin("dc"),
        Optional::<Pin>(None),
        bus.clone(),
    );
    let model = SpiModel::St7789;
    let whole = window(240, 240, (0, 0));
    glass::start(model, wires, whole, settings(model).glass(model)).unwrap();
    assert_eq!(bus.commands()[0].0, SWRESET);
}

#[test]
fn what_must_be_there_is_asked_for() {
    let error = open(&SpiSettings::default(), (240, 240)).err().unwrap();
    assert_eq!(error.to_string(), "panel.spi.model: is missing: add it");
    let error = open(&settings(SpiModel::St7789), (240, 240)).err().unwrap();
    assert_eq!(error.to_string(), "panel.spi.dc: is missing: add it");
    let mut unplugged = settings(SpiModel::St7789);
    unplugged.dc = Some(25);
    unplugged.device = "/nonexistent/spidev9.9".into();
    let error = open(&unplugged, (240, 240)).err().unwrap().to_string();
    assert!(error.contains("dtparam=spi=on"), "{error}");
}

#[test]
fn glass_is_as_usual_unless_it_is_said() {
    let mut settings = settings(SpiModel::Ili9341);
    settings.bgr = Some(false);
    let glass = settings.glass(SpiModel::Ili9341);
    assert_eq!(
        glass,
        Glass {
            invert: false,
            bgr: false,
            mirrored: true
        }
    );
}

proptest! {
    /// What is sent, put over what was shown, is the new frame.
    #[test]
    fn changed_rows_make_the_new_frame(old in prop::collection::vec(0..3_u8, 12), new in prop::collection::vec(0..3_u8, 12)) {
        let image = |rows: &[u8]| RgbImage::from_fn(2, 12, |_, y| Rgb([rows[y as usize], 0, 0]));
        let (mut screen, frame) = (image(&old), image(&new));
        let runs = changed(Some(&screen), &frame);
        for &(top, count) in &runs {
            for y in top..top + count {
                prop_assert_ne!(screen.get_pixel(0, y), frame.get_pixel(0, y));
                (0..2).for_each(|x| screen.put_pixel(x, y, *frame.get_pixel(x, y)));
            }
        }
        prop_assert_eq!(screen, frame);
    }
}
