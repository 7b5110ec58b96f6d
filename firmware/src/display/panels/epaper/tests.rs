use super::colours::{Palette, inks, looks_like};
use super::driver::Driver;
use super::*;
use crate::display::panels::bus::recording::{Bus, Command, Done, Pin, commands_in};
use epd_waveshare::epd5in65f::Epd5in65f;
use epd_waveshare::epd5in83b_v2::Epd5in83;
use epd_waveshare::epd7in3f::Epd7in3f;
use epd_waveshare::epd7in5b_v2::Epd7in5;
use epd_waveshare::prelude::*;
use image::Rgb;
use std::path::{Path, PathBuf};

const ALL: [EpaperModel; 5] = [
    EpaperModel::Spectra7in3,
    EpaperModel::Seven7in3,
    EpaperModel::Seven5in65,
    EpaperModel::Red7in5,
    EpaperModel::Red5in83,
];

/// BUSY of a paper that works: low for three looks after a refresh is asked for, and for the 5.65″ also once its power is
/// off.
fn works(log: &[Done]) -> bool {
    // Asking for the state is not the last thing that it was told to do.
    let told = |done: &Done| matches!(done, Done::Wrote(bytes) if bytes != &[0x71]);
    let written = log.iter().rposition(told);
    let (before, since) = log.split_at(written.map_or(0, |at| at + 1));
    match commands_in(before).last() {
        Some(Command(0x12, _)) => {
            since
                .iter()
                .filter(|d| matches!(d, Done::Asked(..)))
                .count()
                >= 3
        }
        Some(Command(0x02, data)) => !data.is_empty(),
        _ => true,
    }
}

/// As [`works`], but ready when its power is off.
fn works_high(log: &[Done]) -> bool {
    let commands = commands_in(log);
    let told = commands.iter().rfind(|command| command.0 != 0x71);
    works(log) || told.is_some_and(|command| command.0 == 0x02)
}

fn working(model: EpaperModel) -> Bus {
    match model {
        EpaperModel::Seven5in65 => Bus::with_busy(works),
        _ => Bus::with_busy(works_high),
    }
}

type Wires = Driver<Bus, Pin, Pin, Pin, Pin, Bus>;

fn driver(model: EpaperModel, bus: &Bus) -> Wires {
    let power = Optional(Some(bus.pin("power")));
    let (dc, reset, busy) = (bus.pin("dc"), bus.pin("reset"), bus.pin("busy"));
    Driver::new(model, (bus.clone(), dc, reset, busy, power, bus.clone()))
}

fn panel(model: EpaperModel, bus: &Bus) -> EpaperPanel<Wires> {
    EpaperPanel {
        driver: driver(model, bus),
        model,
        saturation: 1.0,
        rest: Duration::from_secs(180),
        shown: None,
    }
}

/// Inks in columns: 0, 1, 2 … and again.
fn columns(model: EpaperModel, count: u8) -> Vec<u8> {
    let (width, height) = model.size();
    (0..width * height)
        .map(|at| (at % width % u32::from(count)) as u8)
        .collect()
}

fn names(commands: &[Command]) -> Vec<u8> {
    commands.iter().map(|command| command.0).collect()
}

#[test]
fn spectra_6_is_told_what_the_maker_tells_it() {
    let bus = working(EpaperModel::Spectra7in3);
    driver(EpaperModel::Spectra7in3, &bus)
        .refresh(&columns(EpaperModel::Spectra7in3, 6))
        .unwrap();
    let commands = bus.commands();
    // The order of `EPD_7in3e`: settings, pixels, power on, the booster again, refresh, power off, deep sleep.
    let settings = [
        0xaa, 0x01, 0x00, 0x03, 0x05, 0x06, 0x08, 0x30, 0x50, 0x60, 0x61, 0x84, 0xe3,
    ];
    let rest = [0x10, 0x04, 0x06, 0x12, 0x02, 0x07];
    assert_eq!(names(&commands), [&settings[..], &rest[..]].concat());
    // 800 and 480, and the code without which deep sleep is not entered.
    assert_eq!(commands[10].1, [0x03, 0x20, 0x01, 0xe0]);
    assert_eq!(commands.last(), Some(&Command(0x07, vec![0xa5])));
    // Black, white, yellow, red, blue, green: 0 1 2 3 5 6, the left pixel in the high half.
    let pixels = &commands[13].1;
    assert_eq!(pixels.len(), 800 * 480 / 2);
    assert_eq!(pixels[..3], [0x01, 0x23, 0x56]);
}

/// An independent implementation of the same papers writes the same bytes.
mod reference {
    use super::*;

    /// Commands that mean something: without the data that another driver sends although it changes nothing.
    fn of(bus: &Bus) -> Vec<Command> {
        let mut commands = bus.commands();
        // DSP ends a transfer of pixels; the next command does as well. Power off takes no data where it is given some.
        // How often a controller is asked for its state is a matter of how often one looks.
        commands.retain(|command| !matches!(command.0, 0x11 | 0x71));
        commands
            .iter_mut()
            .filter(|command| command.0 == 0x02)
            .for_each(|command| command.1.clear());
        commands
    }

    macro_rules! same_bytes {
        ($test:ident, $model:expr, $reference:ident, |$epd:ident, $spi:ident, $delay:ident, $pixels:ident| $show:block) => {
            #[test]
            fn $test() {
                let bus = working($model);
                driver($model, &bus).refresh(&columns($model, 3)).unwrap();
                let ours = of(&bus);
                let data = |name: u8| {
                    let found = ours.iter().find(|command| command.0 == name);
                    found.map(|command| command.1.clone()).unwrap_or_default()
                };
                let $pixels = [data(0x10), data(0x13)];

                let bus = working($model);
                let (mut spi, mut wait) = (bus.clone(), bus.clone());
                let ($spi, $delay) = (&mut spi, &mut wait);
                let (busy, dc, reset) = (bus.pin("busy"), bus.pin("dc"), bus.pin("reset"));
                let mut $epd = $reference::new($spi, busy, dc, reset, $delay, None).unwrap();
                $show
                $epd.sleep($spi, $delay).unwrap();
                let theirs = of(&bus);
                assert_eq!(names(&ours), names(&theirs));
                assert!(ours == theirs, "the same commands with other data");
            }
        };
    }

    same_bytes!(
        seven_colours_7in3,
        EpaperModel::Seven7in3,
        Epd7in3f,
        |epd, spi, delay, pixels| {
            epd.update_and_display_frame(spi, &pixels[0], delay)
                .unwrap();
        }
    );

    same_bytes!(
        seven_colours_5in65,
        EpaperModel::Seven5in65,
        Epd5in65f,
        |epd, spi, delay, pixels| {
            epd.update_and_display_frame(spi, &pixels[0], delay)
                .unwrap();
        }
    );

    same_bytes!(
        red_7in5,
        EpaperModel::Red7in5,
        Epd7in5,
        |epd, spi, delay, pixels| {
            epd.update_color_frame(spi, delay, &pixels[0], &pixels[1])
                .unwrap();
            epd.display_frame(spi, delay).unwrap();
        }
    );

    same_bytes!(
        red_5in83,
        EpaperModel::Red5in83,
        Epd5in83,
        |epd, spi, delay, pixels| {
            epd.update_color_frame(spi, delay, &pixels[0], &pixels[1])
                .unwrap();
            epd.display_frame(spi, delay).unwrap();
        }
    );
}

#[test]
fn two_planes_hold_white_and_red() {
    let bus = working(EpaperModel::Red5in83);
    driver(EpaperModel::Red5in83, &bus)
        .refresh(&columns(EpaperModel::Red5in83, 3))
        .unwrap();
    let commands = bus.commands();
    let plane = |name: u8| &commands.iter().find(|command| command.0 == name).unwrap().1;
    assert_eq!(plane(0x10).len(), 648 / 8 * 480);
    // Black, white, red, black, white, red …
    assert_eq!(plane(0x10)[..3], [0b0100_1001, 0b0010_0100, 0b1001_0010]);
    assert_eq!(plane(0x13)[..3], [0b0010_0100, 0b1001_0010, 0b0100_1001]);
}

#[test]
fn a_controller_that_wants_it_is_asked_before_each_look() {
    let bus = working(EpaperModel::Red7in5);
    driver(EpaperModel::Red7in5, &bus)
        .refresh(&columns(EpaperModel::Red7in5, 3))
        .unwrap();
    let log = bus.take();
    for (at, _) in log
        .iter()
        .enumerate()
        .filter(|(_, done)| matches!(done, Done::Asked(..)))
    {
        let before = log[..at]
            .iter()
            .rfind(|done| matches!(done, Done::Wrote(_)));
        assert_eq!(before, Some(&Done::Wrote(vec![0x71])));
    }
}

#[test]
fn a_refresh_begins_with_a_reset_and_ends_without_power() {
    for model in ALL {
        let bus = working(model);
        driver(model, &bus).refresh(&columns(model, 3)).unwrap();
        let log = bus.take();
        let lines: Vec<&Done> = log
            .iter()
            .filter(|done| matches!(done, Done::Set("reset" | "power", _)))
            .collect();
        let set = |name, high| Done::Set(name, high);
        assert_eq!(
            lines[..4],
            [
                &set("power", true),
                &set("reset", true),
                &set("reset", false),
                &set("reset", true)
            ]
        );
        assert_eq!(*lines[4], set("power", false));
        assert_eq!(
            commands_in(&log).last(),
            Some(&Command(0x07, vec![0xa5])),
            "{model:?}"
        );
    }
}

#[test]
fn a_paper_that_stays_busy_is_given_up_and_put_to_sleep() {
    for model in ALL {
        // Busy from the refresh on, for ever.
        let bus = Bus::with_busy(|log| !commands_in(log).iter().any(|command| command.0 == 0x12));
        let mut panel = panel(model, &bus);
        let (width, height) = model.size();
        let error = panel
            .show(&RgbImage::new(width, height))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("BUSY stays low: the refresh does not end for 120 s"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
        let log = bus.take();
        let slept: u64 = log
            .iter()
            .map(|done| if let Done::Slept(ms) = done { *ms } else { 0 })
            .sum();
        assert!((120_000..140_000).contains(&slept), "{slept} ms");
        let commands = commands_in(&log);
        assert_eq!(
            names(&commands)[commands.len() - 2..],
            [0x02, 0x07],
            "{model:?}"
        );
    }
}

#[test]
fn a_paper_that_is_not_there_is_noticed() {
    // A loose cable: the line is pulled up.
    let bus = Bus::default();
    let error = panel(EpaperModel::Spectra7in3, &bus)
        .show(&RgbImage::new(800, 480))
        .unwrap_err();
    assert!(error.to_string().contains("it does not answer"), "{error}");
    // A line that is held low.
    let bus = Bus::with_busy(|_| false);
    let error = panel(EpaperModel::Spectra7in3, &bus)
        .show(&RgbImage::new(800, 480))
        .unwrap_err();
    assert!(
        error.to_string().contains("BUSY stays low for 10 s"),
        "{error}"
    );
    // And a bus that is gone.
    let bus = working(EpaperModel::Spectra7in3);
    let mut panel = panel(EpaperModel::Spectra7in3, &bus);
    bus.set_broken(true);
    let error = panel.show(&RgbImage::new(800, 480)).unwrap_err();
    assert!(error.to_string().contains("no such device"), "{error}");
    bus.set_broken(false);
    panel.show(&RgbImage::new(800, 480)).unwrap();
}

#[test]
fn what_is_shown_is_not_refreshed() {
    let bus = working(EpaperModel::Spectra7in3);
    let mut panel = panel(EpaperModel::Spectra7in3, &bus);
    let picture = RgbImage::from_pixel(800, 480, Rgb([200, 30, 30]));
    panel.show(&picture).unwrap();
    bus.take();
    panel.show(&picture).unwrap();
    panel.set_dark(true).unwrap();
    assert_eq!(bus.take(), []);
    panel.show(&RgbImage::new(800, 480)).unwrap();
    assert_ne!(bus.take(), []);
}

#[test]
fn paper_rests() {
    let bus = Bus::default();
    let rest = Duration::from_secs(180);
    assert_eq!(
        panel(EpaperModel::Red7in5, &bus).manner(),
        Manner::Paper { rest }
    );
    let hasty = EpaperSettings {
        rest_s: 29,
        ..EpaperSettings::default()
    };
    assert!(hasty.check().is_err());
    assert!(EpaperSettings::default().check().is_ok());
}

#[test]
fn what_must_be_there_is_asked_for() {
    let error = open(&EpaperSettings::default(), (800, 480)).err().unwrap();
    assert_eq!(error.to_string(), "panel.epaper.model: is missing: add it");
    let settings = EpaperSettings {
        model: Some(EpaperModel::Seven5in65),
        device: "/nonexistent/spidev9.9".into(),
        ..EpaperSettings::default()
    };
    let error = open(&settings, (800, 480)).err().unwrap().to_string();
    assert!(error.contains("give 600 and 448"), "{error}");
    let error = open(&settings, (600, 448)).err().unwrap().to_string();
    assert!(error.contains("dtparam=spi=on"), "{error}");
}

/// What is hard for inks: grey from black to white, all hues from pale to strong, and a skin tone.
fn test_picture() -> RgbImage {
    RgbImage::from_fn(240, 160, |x, y| {
        let across = x as f32 / 239.0;
        match y {
            0..40 => Rgb([(across * 255.0) as u8; 3]),
            40..130 => {
                let strength = (y - 40) as f32 / 89.0;
                let hue = across * 6.0;
                let wave = |shift: f32| {
                    let away = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
                    let full = away.clamp(0.0, 1.0);
                    ((1.0 - strength + strength * full) * 255.0) as u8
                };
                Rgb([wave(0.0), wave(4.0), wave(2.0)])
            }
            _ => Rgb([224, 172, 136]),
        }
    })
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/epaper")
        .join(name)
}

/// As the goldens say, but for a few pixels: a last bit of floating point may differ between machines, and an error that
/// is handed on changes what follows. `EASEL_BLESS=1` writes them.
#[test]
fn the_test_picture_is_dithered_as_before() {
    for (palette, name) in [
        (Palette::Spectra6, "spectra6.png"),
        (Palette::Seven, "seven.png"),
        (Palette::BlackWhiteRed, "black-white-red.png"),
    ] {
        let picture = test_picture();
        let shown = looks_like(&inks(&picture, palette, 1.0), palette, picture.dimensions());
        if std::env::var_os("EASEL_BLESS").is_some() {
            shown.save(golden(name)).unwrap();
        }
        let wanted = image::open(golden(name)).unwrap().to_rgb8();
        assert_eq!(wanted.dimensions(), shown.dimensions());
        let differ = wanted
            .pixels()
            .zip(shown.pixels())
            .filter(|(a, b)| a != b)
            .count();
        assert!(
            differ * 50 < shown.pixels().len(),
            "{name}: {differ} pixels differ"
        );
    }
}

#[test]
fn black_and_white_stay_pure() {
    for palette in [Palette::Spectra6, Palette::Seven, Palette::BlackWhiteRed] {
        let frame = RgbImage::from_fn(64, 64, |x, _| Rgb([if x < 32 { 0 } else { 255 }; 3]));
        let inks = inks(&frame, palette, 1.0);
        let wrong = |at: usize, ink: u8| usize::from(ink) != usize::from(at % 64 >= 32);
        let count = inks
            .iter()
            .enumerate()
            .filter(|&(at, &ink)| wrong(at, ink))
            .count();
        // Text has to be crisp: not one pixel of another ink.
        assert_eq!(count, 0, "{palette:?}");
    }
}
