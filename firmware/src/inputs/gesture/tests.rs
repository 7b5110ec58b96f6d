use super::*;
use proptest::prelude::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn button() -> Button {
    Button::new(ms(20), Some(ms(600)))
}

/// Drives a button through edges as a thread does: looking when it asks to be looked at. Gives presses and when.
fn drive(button: &mut Button, edges: &[(bool, u64)], end: u64) -> Vec<(Press, u64)> {
    let mut presses = Vec::new();
    let mut wait = |button: &mut Button, until: Duration| {
        while let Some(at) = button.deadline().filter(|at| *at <= until) {
            presses.extend(button.tick(at).map(|press| (press, at.as_millis() as u64)));
        }
    };
    let mut more = Vec::new();
    for &(pressed, at) in edges {
        wait(button, ms(at));
        more.extend(button.edge(pressed, ms(at)).map(|press| (press, at)));
    }
    wait(button, ms(end));
    presses.extend(more);
    presses.sort_by_key(|press| press.1);
    presses
}

#[test]
fn a_short_press_is_told_when_it_is_let_go() {
    let presses = drive(&mut button(), &[(true, 100), (false, 250)], 2000);
    assert_eq!(presses, [(Press::Short, 270)]);
}

#[test]
fn a_long_press_is_told_while_it_is_held_and_once() {
    let presses = drive(&mut button(), &[(true, 100), (false, 5000)], 9000);
    assert_eq!(presses, [(Press::Long, 700)]);
}

#[test]
fn bouncing_is_one_press() {
    let edges = [
        (true, 100),
        (false, 103),
        (true, 105),
        (false, 300),
        (true, 302),
        (false, 309),
    ];
    assert_eq!(drive(&mut button(), &edges, 2000), [(Press::Short, 329)]);
}

#[test]
fn a_glitch_is_nothing() {
    assert_eq!(drive(&mut button(), &[(true, 100), (false, 110)], 2000), []);
}

#[test]
fn without_a_long_action_every_press_is_short() {
    let mut button = Button::new(ms(20), None);
    assert_eq!(
        drive(&mut button, &[(true, 0), (false, 9000)], 9999),
        [(Press::Short, 9020)]
    );
}

#[test]
fn a_thread_that_was_late_still_tells_lengths_right() {
    // Nobody looked between the edges, whose times the kernel kept.
    let mut late = button();
    assert_eq!(late.edge(true, ms(0)), None);
    assert_eq!(late.edge(false, ms(900)), Some(Press::Long));
    assert_eq!(late.tick(ms(2000)), None);
}

#[test]
fn a_device_that_went_away_held_nothing() {
    let mut button = button();
    button.edge(true, ms(0));
    button.tick(ms(30));
    button.forget();
    assert_eq!(button.deadline(), None);
    assert_eq!(
        drive(&mut button, &[(true, 1000), (false, 1100)], 2000),
        [(Press::Short, 1120)]
    );
}

/// One detent clockwise: the first closes, the second closes, the first opens, the second opens.
const CLOCKWISE: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

fn turn(rotary: &mut Rotary, quarters: impl IntoIterator<Item = (bool, bool)>) -> i32 {
    let turned = quarters
        .into_iter()
        .filter_map(|(first, closed)| rotary.contact(first, closed));
    turned.map(i32::from).sum()
}

fn backwards() -> impl Iterator<Item = (bool, bool)> {
    CLOCKWISE
        .into_iter()
        .rev()
        .map(|(first, closed)| (first, !closed))
}

#[test]
fn a_detent_is_a_turn_in_its_direction() {
    let mut rotary = Rotary::new(4);
    assert_eq!(turn(&mut rotary, CLOCKWISE), 1);
    assert_eq!(turn(&mut rotary, backwards()), -1);
    assert_eq!(turn(&mut Rotary::new(2), CLOCKWISE), 2);
    assert_eq!(turn(&mut Rotary::new(1), CLOCKWISE), 4);
    assert_eq!(turn(&mut Rotary::new(1), backwards()), -4);
}

#[test]
fn contacts_that_bounce_count_once() {
    let mut rotary = Rotary::new(4);
    let bouncing = CLOCKWISE
        .into_iter()
        .flat_map(|(first, closed)| [(first, closed), (first, !closed), (first, closed)]);
    assert_eq!(turn(&mut rotary, bouncing), 1);
}

#[test]
fn an_edge_that_was_missed_is_made_up_for_at_rest() {
    let mut rotary = Rotary::new(4);
    // The second contact's closing is missed; all edges after it are right again.
    turn(&mut rotary, [(true, true), (true, false), (false, false)]);
    assert_eq!(turn(&mut rotary, CLOCKWISE), 1);
}

#[test]
fn a_finger_presses_or_swipes() {
    let mut touch = Touch::new(1000, Some(ms(600)));
    touch.at(500);
    assert_eq!(touch.touch(true, ms(0)), None);
    touch.at(520);
    assert_eq!(
        touch.touch(false, ms(100)),
        Some(Finger::Press(Press::Short))
    );
    touch.at(800);
    touch.touch(true, ms(1000));
    touch.at(300);
    assert_eq!(touch.deadline(), None);
    assert_eq!(touch.touch(false, ms(1900)), Some(Finger::Left));
    touch.at(100);
    touch.touch(true, ms(3000));
    touch.at(700);
    assert_eq!(touch.touch(false, ms(3100)), Some(Finger::Right));
    touch.touch(true, ms(4000));
    assert_eq!(touch.tick(ms(4600)), Some(Finger::Press(Press::Long)));
    assert_eq!(touch.touch(false, ms(4700)), None);
    // There and back again means nothing.
    touch.touch(true, ms(5000));
    touch.at(0);
    touch.at(700);
    assert_eq!(touch.touch(false, ms(5100)), None);
}

proptest! {
    /// Whatever the edges: every press is told once, short ones shorter than long ones, none from glitches.
    #[test]
    fn presses_are_what_levels_say(gaps in prop::collection::vec(1..1500_u64, 1..40)) {
        let mut at = 0;
        let edges: Vec<(bool, u64)> = gaps.iter().enumerate().map(|(i, gap)| {
            at += gap;
            (i % 2 == 0, at)
        }).collect();
        let told = drive(&mut button(), &edges, at + 5000);
        // By the definition: drop what does not last 20 ms, join what is left, measure each press.
        let mut settled: Vec<(bool, u64)> = Vec::new();
        for (i, &(level, from)) in edges.iter().enumerate() {
            let until = edges.get(i + 1).map_or(u64::MAX, |next| next.1);
            let last = settled.last().is_some_and(|edge| edge.0);
            if until - from >= 20 && level != last {
                settled.push((level, from));
            }
        }
        let mut wanted = Vec::new();
        for pair in settled.chunks(2) {
            let until = pair.get(1).map_or(u64::MAX, |edge| edge.1);
            if until - pair[0].1 >= 600 {
                wanted.push(Press::Long);
            } else if until != u64::MAX {
                wanted.push(Press::Short);
            }
        }
        let told: Vec<Press> = told.into_iter().map(|(press, _)| press).collect();
        prop_assert_eq!(told, wanted);
    }

    #[test]
    fn turns_add_up(turns in prop::collection::vec(any::<bool>(), 0..50)) {
        let mut rotary = Rotary::new(4);
        let mut sum = 0;
        for &clockwise in &turns {
            sum += if clockwise { turn(&mut rotary, CLOCKWISE) } else { turn(&mut rotary, backwards()) };
        }
        let wanted: i32 = turns.iter().map(|clockwise| if *clockwise { 1 } else { -1 }).sum();
        prop_assert_eq!(sum, wanted);
    }

    /// Any noise whatever gives no more turns than it has quarters for.
    #[test]
    fn noise_does_not_run_away(noise in prop::collection::vec(any::<(bool, bool)>(), 0..200)) {
        let mut rotary = Rotary::new(4);
        let turns = noise.iter().filter(|(first, closed)| rotary.contact(*first, *closed).is_some()).count();
        prop_assert!(turns * 3 <= noise.len());
    }
}
