use super::*;
use crate::board::Section;
use std::time::Duration;

fn read(text: &str) -> Result<InputsSettings, String> {
    #[derive(serde::Deserialize)]
    struct File {
        inputs: InputsSettings,
    }
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    file.inputs.check().map_err(|wrong| format!("{wrong:?}"))?;
    Ok(file.inputs)
}

const BUTTON: &str =
    "[[inputs]]\nname = 'A'\nkind = 'button'\nline = 5\nshort = 'next'\nlong = 'toggle-night'\n";

#[test]
fn inputs_are_read() {
    let rest = "[[inputs]]\nname = 'dial'\nkind = 'rotary'\nlines = [17, 27]\nclockwise = 'brightness-up'\n\
                [[inputs]]\nname = 'right'\nkind = 'key'\nkey = 'KEY_RIGHT'\nshort = 'show-again'\n\
                [[inputs]]\nname = 'glass'\nkind = 'touch'\nswipe_left = 'next'";
    let inputs = read(&format!("{BUTTON}{rest}")).unwrap().0;
    assert_eq!(inputs.len(), 4);
    assert_eq!(inputs[0].long, Some(Action::ToggleNight));
    assert_eq!(inputs[0].hold(), Some(Duration::from_millis(600)));
    assert_eq!(inputs[1].hold(), None);
    assert!(inputs[2].key_code().is_some() && inputs[3].key_code().is_some());
}

#[test]
fn what_is_wrong_is_named() {
    for (text, says) in [
        ("[[inputs]]\nkind = 'button'\nline = 1", "name"),
        ("[[inputs]]\nname = 'A'", "kind is missing"),
        ("[[inputs]]\nname = 'A'\nkind = 'button'", "line is missing"),
        (
            "[[inputs]]\nname = 'A'\nkind = 'rotary'\nlines = [3, 3]",
            "give two",
        ),
        (
            "[[inputs]]\nname = 'A'\nkind = 'rotary'\nlines = [3, 4]\nsteps = 3",
            "1, 2 or 4",
        ),
        ("[[inputs]]\nname = 'A'\nkind = 'key'", "key is missing"),
        (
            "[[inputs]]\nname = 'A'\nkind = 'key'\nkey = 'KEY_FOO'",
            "KEY_RIGHT",
        ),
        (
            "[[inputs]]\nname = 'A'\nkind = 'touch'\nhold_ms = 5",
            "100 to 10000",
        ),
        (
            "[[inputs]]\nname = 'A'\nkind = 'touch'\nshort = 'explode'",
            "show-again",
        ),
        ("[[inputs]]\nname = 'A'\nkind = 'lever'", "rotary"),
        (
            "[[inputs]]\nname = 'A'\nkind = 'touch'\ncolour = 1",
            "colour",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(says), "{error} does not say {says}");
    }
    let error = read(&format!("{BUTTON}{BUTTON}")).unwrap_err();
    assert!(error.contains("two of this name"), "{error}");
}

#[test]
fn a_gesture_has_the_action_of_its_input() {
    let input = &read(BUTTON).unwrap().0[0];
    let event = |gesture, action| InputEvent::Gesture {
        name: "A".into(),
        gesture,
        action,
    };
    let (short, long) = (Gesture::Press(Press::Short), Gesture::Press(Press::Long));
    assert_eq!(input.event(short), event(short, Some(Action::Next)));
    assert_eq!(input.event(long), event(long, Some(Action::ToggleNight)));
    assert_eq!(input.event(Gesture::Turn(1)), event(Gesture::Turn(1), None));
}

/// Threads start without devices, say so once, and end.
#[test]
fn devices_that_are_not_there_are_told_and_threads_end() {
    let key = "[[inputs]]\nname = 'right'\nkind = 'key'\nkey = 'KEY_RIGHT'\n";
    let lost_chip = BUTTON.replace("line", "chip = '/nonexistent/gpiochip9'\nline");
    let settings = read(&format!("{lost_chip}{key}")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // A node that is no device is left alone.
    std::fs::write(folder.path().join("event0"), "").unwrap();
    let (sender, told) = channel();
    let inputs = start_in(&settings, folder.path(), &Pulse::default(), move |event| {
        let _ = sender.send(event);
    })
    .unwrap();
    let mut problems = Vec::new();
    for _ in 0..2 {
        match told.recv().unwrap() {
            InputEvent::Lost { name, problem } => problems.push((name, problem)),
            other => panic!("{other:?}"),
        }
    }
    problems.sort();
    assert!(
        problems[0].1.contains("/nonexistent/gpiochip9"),
        "{problems:?}"
    );
    assert!(
        problems[1].1.contains("there is no device with KEY_RIGHT"),
        "{problems:?}"
    );
    drop(inputs);
    // The threads are gone, and the sender with them.
    assert!(told.recv().is_err());
}

#[test]
fn nothing_is_waited_for_without_inputs() {
    let inputs = start(&InputsSettings::default(), &Pulse::default(), |_| {}).unwrap();
    assert!(inputs.threads.is_empty());
}

#[test]
fn a_thread_that_panics_or_hangs_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = "[[inputs]]\nname = 'right'\nkind = 'key'\nkey = 'KEY_RIGHT'\n";
    let settings = read(key).expect("it is right");
    // There is no such key, which is told from the thread.
    let pulse = Pulse::default();
    let panics = |_| panic!("as it should");
    let inputs = start_in(&settings, folder.path(), &pulse, panics).expect("threads");
    pulse.wait(Duration::from_secs(60));
    let stuck = pulse.check(Duration::ZERO).expect_err("it has panicked");
    assert_eq!(stuck.to_string(), "inputs-keys: has panicked: as it should");
    drop(inputs);

    let pulse = Pulse::default();
    let (finish, wait) = channel::<()>();
    let (begun, begins) = channel();
    let hangs = std::sync::Mutex::new((begun, wait));
    let hang = move |_| {
        let hangs = hangs.lock().expect("one thread");
        let _ = hangs.0.send(());
        let _ = hangs.1.recv();
    };
    let watched = pulse.clone();
    let starts = std::thread::spawn(move || start_in(&settings, folder.path(), &watched, hang));
    begins.recv().expect("it tells");
    assert_eq!(pulse.check(Duration::from_secs(100)), Ok(()));
    assert_eq!(pulse.check(Duration::from_secs(160)), Ok(()));
    let stuck = pulse.check(Duration::from_secs(161)).expect_err("it hangs");
    assert_eq!(stuck.to_string(), "inputs-keys: no progress for 61 s");
    drop(finish);
    drop(starts.join().expect("it goes on"));
}
