//! What happens in the machine.

use super::pattern;
use easel_firmware::display::Panel;
use easel_firmware::display::panels::drm::{DrmPanel, DrmSettings};
use easel_firmware::display::panels::fb::{FbPanel, FbSettings};
use easel_firmware::inputs::{
    self, Action, Gesture, InputEvent, InputKind, InputSettings, InputsSettings, Press,
};
use easel_firmware::watch::Pulse;
use evdev::uinput::VirtualDevice;
use evdev::{
    AbsInfo, AbsoluteAxisCode, AttributeSet, EventType, InputEvent as Raw, KeyCode, UinputAbsSetup,
};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = super::machine::SCREEN;

/// The line to the outside.
struct Outside(BufReader<File>);

impl Outside {
    fn step(&mut self, step: &str) {
        self.0
            .get_mut()
            .write_all(format!("{step}\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "go", "{step}");
    }
}

#[test]
#[ignore = "runs in the machine that another test boots"]
fn everything() {
    let line = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/ttyS1")
        .unwrap();
    let mut outside = Outside(BufReader::new(line));
    another_program_holds_the_screen();
    drm(&mut outside);
    framebuffer(&mut outside);
    keyboard(&mut outside);
    touch_screen();
    outside.0.get_mut().write_all(b"done\n").unwrap();
}

fn open(connector: Option<&str>, size: (u32, u32)) -> Result<DrmPanel, String> {
    let connector = connector.map(str::to_owned);
    let settings = DrmSettings {
        connector,
        ..DrmSettings::default()
    };
    DrmPanel::open(&settings, size, Path::new("/dev/dri")).map_err(|error| error.to_string())
}

fn another_program_holds_the_screen() {
    // Who opens first is master, and stays it in the child.
    let card = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/dri/card0")
        .unwrap();
    let mut holder = Command::new("/bin/busybox")
        .args(["sleep", "1000"])
        .stdin(card)
        .spawn()
        .unwrap();
    let error = open(None, SIZE).err().unwrap();
    let wanted = format!("busybox (process {}) holds the screen", holder.id());
    assert!(error.contains(&wanted), "{error}");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

fn drm(outside: &mut Outside) {
    let error = open(Some("HDMI-A-1"), SIZE).err().unwrap();
    assert!(error.contains("Virtual-1"), "{error}");
    let mut panel = open(Some("Virtual-1"), SIZE).unwrap();
    assert_eq!(panel.describe().unwrap(), "Virtual-1, 800×480");

    for kind in [1, 2, 3] {
        panel.show(&pattern(SIZE.0, SIZE.1, kind)).unwrap();
    }
    outside.step("shows 3");
    time(outside, "drm", &mut panel);

    panel.set_dark(true).unwrap();
    outside.step("is-dark 3");
    // Drawn in the dark, seen in the light.
    panel.show(&pattern(SIZE.0, SIZE.1, 4)).unwrap();
    outside.step("is-dark 4");
    panel.set_dark(false).unwrap();
    outside.step("shows 4");

    // As if the cable were pulled.
    let status = Path::new("/sys/class/drm/card0-Virtual-1/status");
    fs::write(status, "off").unwrap();
    let error = panel
        .show(&pattern(SIZE.0, SIZE.1, 5))
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing is plugged in"), "{error}");
    fs::write(status, "detect").unwrap();
    panel.show(&pattern(SIZE.0, SIZE.1, 6)).unwrap();
    outside.step("shows 6");
    drop(panel);

    // No mode is a square.
    let mut panel = open(None, (SIZE.1, SIZE.1)).unwrap();
    panel.show(&pattern(SIZE.1, SIZE.1, 7)).unwrap();
    outside.step("shows-in-the-middle 7");
}

fn framebuffer(outside: &mut Outside) {
    let mut panel = FbPanel::open(&FbSettings::default(), SIZE).unwrap();
    panel.show(&pattern(SIZE.0, SIZE.1, 8)).unwrap();
    outside.step("shows 8");
    time(outside, "fb", &mut panel);
    panel.set_dark(true).unwrap();
    outside.step("is-dark 8");
    panel.set_dark(false).unwrap();
    panel.show(&pattern(SIZE.0, SIZE.1, 9)).unwrap();
    outside.step("shows 9");
}

fn time(outside: &mut Outside, what: &str, panel: &mut dyn Panel) {
    let frames = [pattern(SIZE.0, SIZE.1, 10), pattern(SIZE.0, SIZE.1, 3)];
    let begun = Instant::now();
    for frame in frames.iter().cycle().take(60) {
        panel.show(frame).unwrap();
    }
    let ms = begun.elapsed().as_secs_f32() * 1000.0 / 60.0;
    outside.step(&format!("took {what} {ms:.1}"));
}

fn heard(events: &Receiver<InputEvent>) -> InputEvent {
    events
        .recv_timeout(Duration::from_secs(60))
        .expect("something is heard")
}

fn input(name: &str, kind: InputKind) -> InputSettings {
    InputSettings {
        name: name.to_owned(),
        kind: Some(kind),
        short: Some(Action::Next),
        long: Some(Action::Cancel),
        swipe_left: Some(Action::Previous),
        ..InputSettings::default()
    }
}

fn gesture(name: &str, gesture: Gesture, action: Action) -> InputEvent {
    let (name, action) = (name.to_owned(), Some(action));
    InputEvent::Gesture {
        name,
        gesture,
        action,
    }
}

fn keyboard(outside: &mut Outside) {
    let mut right = input("right", InputKind::Key);
    right.key = Some("KEY_RIGHT".to_owned());
    // The bus is searched while the machine does other things.
    while fs::read_dir("/dev/input").is_ok_and(|mut nodes| nodes.next().is_none()) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (sender, events) = mpsc::channel();
    let inputs = inputs::start(
        &InputsSettings(vec![right]),
        &Pulse::default(),
        move |event| {
            let _ = sender.send(event);
        },
    )
    .unwrap();
    let (short, long) = (Gesture::Press(Press::Short), Gesture::Press(Press::Long));
    outside.step("press right 100");
    assert_eq!(heard(&events), gesture("right", short, Action::Next));
    outside.step("press right 2000");
    assert_eq!(heard(&events), gesture("right", long, Action::Cancel));
    outside.step("unplug-keyboard");
    assert!(matches!(heard(&events), InputEvent::Lost { .. }));
    outside.step("plug-keyboard");
    assert_eq!(
        heard(&events),
        InputEvent::Found {
            name: "right".to_owned()
        }
    );
    outside.step("press right 100");
    assert_eq!(heard(&events), gesture("right", short, Action::Next));
    drop(inputs);
    assert!(events.recv().is_err(), "the threads have ended");
}

fn touch_screen() {
    let axis = AbsInfo::new(0, 0, 1000, 0, 0, 0);
    let mut screen = VirtualDevice::builder()
        .unwrap()
        .name("glass")
        .with_keys(&AttributeSet::from_iter([KeyCode::BTN_TOUCH]))
        .unwrap()
        .with_absolute_axis(&UinputAbsSetup::new(AbsoluteAxisCode::ABS_X, axis))
        .unwrap()
        .build()
        .unwrap();
    let (sender, events) = mpsc::channel();
    let settings = InputsSettings(vec![input("glass", InputKind::Touch)]);
    let inputs = inputs::start(&settings, &Pulse::default(), move |event| {
        let _ = sender.send(event);
    })
    .unwrap();
    // The node appears when the kernel gets to it: before the threads look, or after they have missed it once.
    let x = |x| Raw::new(EventType::ABSOLUTE.0, AbsoluteAxisCode::ABS_X.0, x);
    let touches = |value| Raw::new(EventType::KEY.0, KeyCode::BTN_TOUCH.0, value);
    let begun = Instant::now();
    let first = loop {
        screen.emit(&[touches(1), x(900)]).unwrap();
        screen.emit(&[x(200)]).unwrap();
        screen.emit(&[touches(0)]).unwrap();
        match events.recv_timeout(Duration::from_millis(500)) {
            Ok(event @ InputEvent::Gesture { .. }) => break event,
            _ => assert!(
                begun.elapsed() < Duration::from_secs(60),
                "the finger was not felt"
            ),
        }
    };
    assert_eq!(
        first,
        gesture("glass", Gesture::SwipeLeft, Action::Previous)
    );
    drop(screen);
    let lost = loop {
        match heard(&events) {
            InputEvent::Gesture { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(lost, InputEvent::Lost { .. }), "{lost:?}");
    drop(inputs);
}
