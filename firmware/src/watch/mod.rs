//! The board watches over itself: heat, power, memory, disk, its threads, its starts, and the service manager's watchdog.
//!
//! Nothing here acts. Readings become decisions, which the house carries out; `docs/watching.md` says what they are.

mod clock;
mod disk;
mod governor;
mod health;
mod notify;
mod pulse;
mod settings;
mod starts;

pub use clock::{Clock, FIRST_CREDIBLE_YEAR, Moment, is_set};
pub use disk::DiskState;
pub use governor::{Governor, Pace};
#[cfg(test)]
pub(crate) use health::tests::tree;
pub use health::{Health, Root, Throttling, disk_free_mib};
pub use notify::Notifier;
pub(crate) use pulse::words_of;
pub use pulse::{Beat, Cause, Pulse, Stuck};
pub use settings::LimitSettings;
pub use starts::{StartMode, Starts};
