//! The board by itself: playlists, times, quiet hours and the night.
//!
//! [`Kiosk`] decides; it is told the time and whether something is being painted, and says what it wishes. `docs/kiosk.md` has the keys
//! of the configuration and what they do.

mod at;
mod days;
mod draw;
mod file;
mod hours;
mod local;
mod machine;
mod night;
mod playlist;
mod settings;
mod style;
mod template;
mod times;

pub use at::{At, WrongAt};
pub use days::{Days, WrongDays};
pub use file::{PlaylistError, PlaylistFile, parse_playlists};
pub use hours::{Hours, TimeOfDay, WrongTime};
pub use machine::{Kiosk, KioskState, SettingError, Wish};
pub use night::{Night, NightMode, Quiet, WrongNight, night};
pub use playlist::{Drawing, Playlist, Position, Prompt, Seeds};
pub(crate) use settings::LONGEST_INTERVAL;
pub use settings::{KioskSettings, QuietHours, ShowAgain, Zone};
pub use style::{Style, WrongStyle};
pub use template::{Template, WrongTemplate};
