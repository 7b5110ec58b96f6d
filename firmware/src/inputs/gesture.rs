//! From edges to gestures: what a finger meant, told by levels and times alone.
//!
//! Times are counted from any fixed moment on. A recognizer that waits for something says until when; whoever drives it
//! calls [`Button::tick`] then, or later.

use std::time::Duration;

/// How long a button was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Press {
    /// Told when it is let go.
    Short,
    /// Told while it is still held: nobody counts seconds.
    Long,
}

/// A button that bounces.
#[derive(Debug, Clone)]
pub struct Button {
    /// A level counts when it has lasted for so long.
    settle: Duration,
    /// A press that lasts so long is a long one; `None`: none is.
    hold: Option<Duration>,
    /// A level that has not settled yet, and since when.
    unsettled: Option<(bool, Duration)>,
    held: Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    No,
    Since(Duration),
    /// And a long press has been told.
    Told,
}

impl Button {
    /// A button that is not pressed.
    #[must_use]
    pub fn new(settle: Duration, hold: Option<Duration>) -> Self {
        Self {
            settle,
            hold,
            unsettled: None,
            held: Held::No,
        }
    }

    /// The level changed.
    pub fn edge(&mut self, pressed: bool, at: Duration) -> Option<Press> {
        let before = self.tick(at);
        // Back to what had settled: it was a bounce.
        let settled = self.held != Held::No;
        self.unsettled = (pressed != settled).then_some((pressed, at));
        // A device that does not bounce waits for nothing.
        before.or_else(|| self.tick(at))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) -> Option<Press> {
        let mut press = None;
        match self.unsettled {
            Some((pressed, since)) if now >= since + self.settle => {
                self.unsettled = None;
                match (pressed, self.held) {
                    (true, _) => self.held = Held::Since(since),
                    (false, Held::Since(begun)) => {
                        self.held = Held::No;
                        press = Some(self.length(since.saturating_sub(begun)));
                    }
                    (false, _) => self.held = Held::No,
                }
            }
            _ => {}
        }
        if let (Held::Since(begun), Some(hold), None) = (self.held, self.hold, self.unsettled)
            && now >= begun + hold
        {
            self.held = Held::Told;
            press = Some(Press::Long);
        }
        press
    }

    /// When to look again; `None`: not before an edge.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let settles = self.unsettled.map(|(_, since)| since + self.settle);
        settles.or(match (self.held, self.hold) {
            (Held::Since(begun), Some(hold)) => Some(begun + hold),
            _ => None,
        })
    }

    /// The device went away: what is held is held no more, and meant nothing.
    pub fn forget(&mut self) {
        self.unsettled = None;
        self.held = Held::No;
    }

    fn length(&self, held: Duration) -> Press {
        match self.hold {
            // Nobody looked in time.
            Some(hold) if held >= hold => Press::Long,
            _ => Press::Short,
        }
    }
}

/// A rotary encoder: two contacts, of which one opens a quarter of a cycle before the other.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Quarters from one detent to the next: 4, 2 or 1.
    steps: i32,
    /// Which contacts are closed: the first is bit 1.
    contacts: u8,
    quarters: i32,
}

impl Rotary {
    /// An encoder that rests with both contacts open.
    #[must_use]
    pub fn new(steps: u8) -> Self {
        Self {
            steps: i32::from(steps),
            contacts: 0,
            quarters: 0,
        }
    }

    /// A contact closed or opened. Gives +1 for a detent clockwise, −1 for one the other way. Bouncing goes to and fro
    /// and so adds up to nothing.
    pub fn contact(&mut self, first: bool, closed: bool) -> Option<i8> {
        let bit = if first { 0b10 } else { 0b01 };
        let new = if closed {
            self.contacts | bit
        } else {
            self.contacts & !bit
        };
        // In the order in which turning clockwise goes through them: open, first, both, second.
        let place = |contacts: u8| [0, 3, 1, 2][usize::from(contacts & 0b11)];
        self.quarters += match (place(new) - place(self.contacts)) & 0b11 {
            1 => 1,
            3 => -1,
            _ => 0,
        };
        self.contacts = new;
        let turned = if self.steps == 4 {
            // At rest, an edge that was missed is made up for: more than half a cycle is a whole one.
            if new != 0 {
                return None;
            }
            let turned = (self.quarters + 2 * self.quarters.signum()) / 4;
            self.quarters = 0;
            turned
        } else {
            let turned = self.quarters / self.steps;
            self.quarters -= turned * self.steps;
            turned
        };
        match turned {
            0 => None,
            ahead if ahead > 0 => Some(1),
            _ => Some(-1),
        }
    }
}

/// A finger on a touch screen: a swipe, or else a press.
#[derive(Debug, Clone)]
pub struct Touch {
    button: Button,
    /// A way across that counts as a swipe, in the screen's units.
    far: i32,
    began: Option<i32>,
    now: i32,
    swiped: bool,
}

/// What a finger did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finger {
    /// It stayed.
    Press(Press),
    /// It went left, as one does to see the next.
    Left,
    /// It went right.
    Right,
}

impl Touch {
    /// A screen whose columns are `width` units.
    #[must_use]
    pub fn new(width: i32, hold: Option<Duration>) -> Self {
        Self {
            button: Button::new(Duration::ZERO, hold),
            far: (width / 5).max(1),
            began: None,
            now: 0,
            swiped: false,
        }
    }

    /// Where the finger is, told before it touches and while it moves.
    pub fn at(&mut self, x: i32) {
        self.now = x;
        if let Some(began) = self.began {
            // Not a long press, however long it takes.
            self.swiped |= x.saturating_sub(began).saturating_abs() >= self.far;
        }
    }

    /// It touches, or lets go.
    pub fn touch(&mut self, touches: bool, at: Duration) -> Option<Finger> {
        if touches {
            self.began = Some(self.now);
            self.swiped = false;
            return self.button.edge(true, at).map(Finger::Press);
        }
        let moved = self
            .began
            .take()
            .map_or(0, |began| self.now.saturating_sub(began));
        let press = self.button.edge(false, at);
        match moved {
            left if left <= -self.far => Some(Finger::Left),
            right if right >= self.far => Some(Finger::Right),
            // There and back again.
            _ if self.swiped => None,
            _ => press.map(Finger::Press),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) -> Option<Finger> {
        if self.swiped {
            return None;
        }
        self.button.tick(now).map(Finger::Press)
    }

    /// When to look again.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if self.swiped {
            None
        } else {
            self.button.deadline()
        }
    }
}

#[cfg(test)]
mod tests;
