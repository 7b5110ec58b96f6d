use super::*;
use crate::display::{Fit, Frame};
use image::Rgb;
use std::sync::{Arc, Mutex};

const SIZE: (u32, u32) = (64, 48);

/// Time stands still unless it is told otherwise.
#[derive(Clone)]
struct Still(Arc<Mutex<(Instant, Duration)>>);

impl Still {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), Duration::ZERO))))
    }

    fn pass(&self, millis: u64) {
        self.0.lock().expect("no panic").0 += Duration::from_millis(millis);
    }

    fn spend(&self, millis: u64) {
        self.0.lock().expect("no panic").1 += Duration::from_millis(millis);
        self.pass(millis);
    }
}

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0.lock().expect("no panic").0
    }

    fn spent(&self) -> Duration {
        self.0.lock().expect("no panic").1
    }
}

/// What a panel was told.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Frame(RgbImage),
    Dark(bool),
    Brightness(f32),
}

struct Recorder {
    manner: Manner,
    /// Milliseconds that a frame takes.
    cost: u64,
    clock: Still,
    told: Arc<Mutex<Vec<Told>>>,
    broken: Arc<Mutex<bool>>,
}

impl Recorder {
    fn tell(&self, told: Told) -> Result<(), PanelError> {
        if *self.broken.lock().expect("no panic") {
            return Err(PanelError("the cable is loose".to_owned()));
        }
        self.told.lock().expect("no panic").push(told);
        Ok(())
    }
}

impl Panel for Recorder {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn manner(&self) -> Manner {
        self.manner
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        assert_eq!(frame.dimensions(), SIZE);
        self.clock.spend(self.cost);
        self.tell(Told::Frame(frame.clone()))
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        self.tell(Told::Dark(dark))
    }

    fn set_brightness(&mut self, brightness: f32) -> Result<(), PanelError> {
        self.tell(Told::Brightness(brightness))
    }
}

struct Stage {
    presenter: Presenter<Still>,
    clock: Still,
    told: Arc<Mutex<Vec<Told>>>,
    broken: Arc<Mutex<bool>>,
}

impl Stage {
    fn new(manner: Manner, cost: u64) -> Self {
        let clock = Still::new();
        let (told, broken) = (Arc::default(), Arc::default());
        let panel = Recorder {
            manner,
            cost,
            clock: clock.clone(),
            told: Arc::clone(&told),
            broken: Arc::clone(&broken),
        };
        let frame = Frame {
            fit: Fit::Crop,
            round: false,
        };
        let look = Look { rotation: 0, frame };
        Self {
            presenter: Presenter::new(Box::new(panel), look, clock.clone()),
            clock,
            told,
            broken,
        }
    }

    fn light() -> Self {
        Self::new(
            Manner::Light {
                frames_per_second: 20.0,
            },
            0,
        )
    }

    fn wish(&mut self, screen: Screen) {
        let screen = Some(screen);
        self.presenter.wish(Wishes {
            screen,
            ..Wishes::default()
        });
    }

    fn wish_dark(&mut self, dark: bool) {
        let dark = Some(dark);
        self.presenter.wish(Wishes {
            dark,
            ..Wishes::default()
        });
    }

    /// Lets time pass until `millis` from now, doing what is due; returns what the panel was told.
    fn run(&mut self, millis: u64) -> Vec<Told> {
        let end = self.clock.now() + Duration::from_millis(millis);
        for turn in 0.. {
            assert!(turn < 10_000, "it never rests");
            match self.presenter.work() {
                Some(at) if at <= end => {
                    let wait = at.saturating_duration_since(self.clock.now());
                    self.clock.0.lock().expect("no panic").0 += wait;
                }
                _ => break,
            }
        }
        let now = self.clock.now();
        self.clock.0.lock().expect("no panic").0 = now.max(end);
        std::mem::take(&mut self.told.lock().expect("no panic"))
    }
}

fn picture(value: u8) -> Screen {
    Screen::Picture {
        picture: Arc::new(RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([value; 3]))),
        caption: None,
    }
}

fn painting(step: usize) -> Screen {
    Screen::Painting {
        prompt: "a cat".to_owned(),
        step,
        steps: 20,
        left: None,
        preview: None,
    }
}

fn values(told: &[Told]) -> Vec<u8> {
    let value = |told: &Told| match told {
        Told::Frame(frame) => Some(frame.get_pixel(0, 0).0[0]),
        _ => None,
    };
    told.iter().filter_map(value).collect()
}

#[test]
fn a_picture_fades_into_the_next() {
    let mut stage = Stage::light();
    stage.wish(picture(0));
    assert_eq!(values(&stage.run(1000)), [0]);
    stage.wish(picture(200));
    let fade = values(&stage.run(1000));
    assert_eq!(fade.len(), 8, "400 ms at 20 frames a second: {fade:?}");
    assert!(
        fade.is_sorted() && fade[0] > 0 && fade[6] < 200 && fade[7] == 200,
        "{fade:?}"
    );
    assert!(stage.run(60_000).is_empty());
}

#[test]
fn a_newer_screen_ends_a_fade() {
    let mut stage = Stage::light();
    stage.wish(picture(0));
    stage.run(1000);
    stage.wish(picture(200));
    let fade = values(&stage.run(150));
    let last = *fade.last().expect("it has begun");
    stage.wish(picture(100));
    let second = values(&stage.run(1000));
    assert!(
        second[0].abs_diff(last) < 30,
        "from what is shown: {fade:?} {second:?}"
    );
    assert_eq!(second.last(), Some(&100));
}

#[test]
fn what_is_shown_is_not_shown_again() {
    let mut stage = Stage::light();
    for _ in 0..3 {
        stage.wish(painting(1));
        stage.run(1000);
    }
    assert_eq!(stage.presenter.health().shown, 1);
}

#[test]
fn the_newest_screen_wins() {
    let mut stage = Stage::light();
    stage.wish(picture(1));
    stage.wish(picture(2));
    stage.wish(picture(3));
    assert_eq!(values(&stage.run(1000)), [3]);
    assert_eq!(stage.presenter.health().dropped, 2);
}

#[test]
fn progress_takes_no_more_than_its_share() {
    let mut stage = Stage::new(
        Manner::Light {
            frames_per_second: 20.0,
        },
        30,
    );
    let begun = stage.clock.now();
    let mut frames = 0;
    for step in 0..600 {
        stage.wish(painting(step));
        frames += stage.run(100).len();
    }
    let passed = stage.clock.now() - begun;
    let spent = stage.clock.spent();
    assert!(
        spent <= passed / 50 + Duration::from_millis(30),
        "{spent:?} of {passed:?}"
    );
    assert!(frames > 30, "{frames}");
    // What is not progress does not wait for it.
    stage.wish(picture(9));
    assert!(!stage.run(100).is_empty());
}

#[test]
fn paper_rests() {
    let rest = Duration::from_secs(180);
    let mut stage = Stage::new(Manner::Paper { rest }, 0);
    stage.wish(picture(1));
    assert_eq!(values(&stage.run(1000)), [1], "no fade");
    stage.wish(picture(2));
    stage.wish_dark(true);
    assert!(stage.run(170_000).is_empty(), "and it has no light");
    stage.wish(picture(3));
    assert_eq!(values(&stage.run(20_000)), [3]);
    stage.presenter.finish();
    assert!(stage.run(1000).is_empty(), "it keeps its picture");
}

#[test]
fn in_the_dark_nothing_is_shown_until_it_is_light() {
    let mut stage = Stage::light();
    stage.wish(picture(1));
    stage.run(1000);
    stage.wish_dark(true);
    assert_eq!(stage.run(1000), [Told::Dark(true)]);
    stage.wish(picture(2));
    stage.presenter.finish();
    assert!(stage.run(1000).is_empty());
    stage.wish_dark(false);
    let told = stage.run(1000);
    assert_eq!(
        (told[0].clone(), values(&told)),
        (Told::Dark(false), vec![2])
    );
    // Without anything newer, the last screen comes back.
    stage.wish_dark(true);
    stage.run(1000);
    stage.wish_dark(false);
    assert_eq!(values(&stage.run(1000)), [2]);
}

#[test]
fn a_broken_panel_is_tried_at_a_slow_pace_until_it_works() {
    let mut stage = Stage::light();
    stage.wish(picture(1));
    stage.run(1000);
    *stage.broken.lock().expect("no panic") = true;
    stage.wish(picture(2));
    assert!(stage.run(3_600_000).is_empty());
    let failed = stage.presenter.health().failed;
    assert!((60..70).contains(&failed), "once a minute: {failed}");
    assert_eq!(
        stage.presenter.health().error.as_deref(),
        Some("the cable is loose")
    );
    *stage.broken.lock().expect("no panic") = false;
    let told = stage.run(61_000);
    assert_eq!(
        values(&told),
        [2],
        "what was wished for last, without a fade"
    );
    assert_eq!(stage.presenter.health().error, None);
}

#[test]
fn a_light_that_cannot_be_dimmed_does_not_stop_frames() {
    let mut stage = Stage::light();
    let brightness = Some(0.5);
    stage.presenter.wish(Wishes {
        brightness,
        ..Wishes::default()
    });
    assert_eq!(stage.run(1000), [Told::Brightness(0.5)]);
    *stage.broken.lock().expect("no panic") = true;
    stage.presenter.wish(Wishes {
        brightness,
        ..Wishes::default()
    });
    stage.run(1000);
    *stage.broken.lock().expect("no panic") = false;
    stage.wish(picture(7));
    assert_eq!(values(&stage.run(1000)), [7]);
}

#[test]
fn a_turned_panel_gets_its_own_shape() {
    let mut stage = Stage::light();
    stage.presenter.look.rotation = 90;
    let upright = RgbImage::from_fn(SIZE.1, SIZE.0, |x, y| {
        Rgb([if (x, y) == (0, 0) { 255 } else { 0 }; 3])
    });
    let picture = Arc::new(upright);
    stage.wish(Screen::Picture {
        picture,
        caption: None,
    });
    let told = stage.run(1000);
    let Some(Told::Frame(frame)) = told.first() else {
        panic!("no frame")
    };
    assert_eq!(
        frame.get_pixel(SIZE.0 - 1, 0).0[0],
        255,
        "the upper left goes to the upper right"
    );
}
