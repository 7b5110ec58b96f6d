//! The `[limits]` of a board's configuration.

use crate::board::{Section, Wrong, within};
use serde::{Deserialize, Serialize};

/// When the board slows down, and when it refuses.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// °C from which the painter rests between steps.
    pub slow_above_c: f32,
    /// °C from which it stops until the board is cooler.
    pub pause_above_c: f32,
    /// Kelvin that it must be below a limit before the limit is forgotten.
    pub hysteresis_k: f32,
    /// MiB free on the disk below which old pictures are removed.
    pub disk_low_mib: u64,
    /// MiB free on the disk below which nothing new is taken.
    pub disk_full_mib: u64,
    /// Starts that end early in a row before the next one is without the playlist.
    pub safe_after_starts: u32,
    /// Seconds after which a start has gone well.
    pub steady_after_s: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            // A Raspberry Pi slows its own clocks at 80 °C, hard at 85 °C; easel rests before.
            slow_above_c: 75.0,
            pause_above_c: 82.0,
            hysteresis_k: 4.0,
            disk_low_mib: 200,
            disk_full_mib: 50,
            safe_after_starts: 3,
            steady_after_s: 180,
        }
    }
}

impl Section for LimitSettings {
    const NAME: &str = "limits";

    fn check(&self) -> Result<(), Wrong> {
        within("slow_above_c", self.slow_above_c, 30.0, 110.0)?;
        within("pause_above_c", self.pause_above_c, 30.0, 110.0)?;
        within("hysteresis_k", self.hysteresis_k, 0.5, 30.0)?;
        within("disk_low_mib", self.disk_low_mib, 1, 1 << 30)?;
        within("disk_full_mib", self.disk_full_mib, 1, 1 << 30)?;
        within("safe_after_starts", self.safe_after_starts, 1, 100)?;
        within("steady_after_s", self.steady_after_s, 10, 3600)?;
        if self.pause_above_c <= self.slow_above_c {
            let (slow, pause) = (self.slow_above_c, self.pause_above_c);
            let problem = format!("{pause}: give more than slow_above_c, which is {slow}");
            return Err(Wrong::new("pause_above_c", problem));
        }
        if self.disk_full_mib >= self.disk_low_mib {
            let (low, full) = (self.disk_low_mib, self.disk_full_mib);
            let problem = format!("{full}: give less than disk_low_mib, which is {low}");
            return Err(Wrong::new("disk_full_mib", problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_order() {
        let read = |text: &str| toml::from_str::<LimitSettings>(text).expect(text).check();
        read("").expect("the defaults are right");
        for (text, key) in [
            ("slow_above_c = 20.0", "slow_above_c"),
            ("slow_above_c = nan", "slow_above_c"),
            ("slow_above_c = 82.0", "pause_above_c"),
            ("pause_above_c = 120.0", "pause_above_c"),
            ("hysteresis_k = 0.0", "hysteresis_k"),
            ("disk_full_mib = 0", "disk_full_mib"),
            ("disk_low_mib = 50", "disk_full_mib"),
            ("safe_after_starts = 0", "safe_after_starts"),
            ("steady_after_s = 5", "steady_after_s"),
        ] {
            let wrong = read(text).expect_err(text);
            assert!(format!("{wrong:?}").contains(key), "{text}: {wrong:?}");
        }
    }
}
