//! What happens around the machine: its screen is looked at, its keys are pressed, its plugs are pulled.

use super::machine::{Machine, SCREEN};
use super::pattern;
use image::{RgbImage, imageops::overlay};
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn panels_and_inputs_work_on_a_real_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut machine = Machine::boot(folder.path(), "inside::everything");
    let mut steps = 0;
    loop {
        let Some(step) = machine.hear() else {
            panic!(
                "the machine went off after {steps} steps:\n{}",
                machine.console()
            );
        };
        match step.as_str() {
            "done" => break,
            step => do_step(&mut machine, step),
        }
        steps += 1;
        machine.say("go");
    }
    println!("{steps} steps in {:.1} s", begun.elapsed().as_secs_f32());
    // One that was left out would have been missed.
    assert_eq!(steps, 16, "{}", machine.console());
}

fn do_step(machine: &mut Machine, step: &str) {
    let (width, height) = SCREEN;
    let words: Vec<&str> = step.split(' ').collect();
    match words[..] {
        ["shows", kind] => see(
            machine,
            step,
            &pattern(width, height, kind.parse().unwrap()),
        ),
        ["shows-in-the-middle", kind] => {
            // A square, black on its left and right.
            let mut wanted = RgbImage::new(width, height);
            let square = pattern(height, height, kind.parse().unwrap());
            overlay(&mut wanted, &square, i64::from(width - height) / 2, 0);
            see(machine, step, &wanted);
        }
        ["is-dark", kind] => {
            let light = pattern(width, height, kind.parse().unwrap());
            until(step, machine, |screen| dark(screen) && *screen != light);
        }
        ["press", key, ms] => {
            let keys = json!([{"type": "qcode", "data": key}]);
            let held: u32 = ms.parse().unwrap();
            machine
                .monitor
                .ask("send-key", json!({"keys": keys, "hold-time": held}));
        }
        ["unplug-keyboard"] => machine.monitor.ask("device_del", json!({"id": "keyboard"})),
        ["plug-keyboard"] => {
            let keyboard = json!({"driver": "usb-kbd", "bus": "usb.0", "id": "keyboard"});
            machine.monitor.ask("device_add", keyboard);
        }
        ["took", what, ms] => println!("{what}: {ms} ms a frame"),
        _ => panic!("{step}\n{}", machine.console()),
    }
}

/// Of a screen that is switched off, the emulator says so in grey on black.
fn dark(screen: &RgbImage) -> bool {
    let black = screen.pixels().filter(|pixel| pixel.0 == [0, 0, 0]).count();
    black * 10 > screen.pixels().len() * 9
}

fn see(machine: &mut Machine, step: &str, wanted: &RgbImage) {
    until(step, machine, |screen| screen == wanted);
}

/// Looks until it is so: the kernel passes pictures on in its own time.
fn until(step: &str, machine: &mut Machine, is_so: impl Fn(&RgbImage) -> bool) {
    let begun = Instant::now();
    loop {
        let screen = machine.monitor.screen();
        if is_so(&screen) {
            return;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            let file = std::env::temp_dir().join("easel-guest-screen.png");
            screen.save(&file).unwrap();
            panic!(
                "{step}: the screen is otherwise: {}\n{}",
                file.display(),
                machine.console()
            );
        }
        sleep(Duration::from_millis(50));
    }
}
