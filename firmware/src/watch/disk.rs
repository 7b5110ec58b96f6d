//! What to do when the disk fills up.

use super::settings::LimitSettings;

/// How full the disk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiskState {
    /// There is room.
    #[default]
    Fine,
    /// Old pictures are to be removed, until there is room.
    Low,
    /// Nothing new is to be taken: it could not be kept.
    Full,
}

impl DiskState {
    /// With so many MiB free; `before` is how it was, since a limit counts until a quarter more than it is free.
    #[must_use]
    pub fn at(free_mib: u64, limits: &LimitSettings, before: Self) -> Self {
        let below =
            |limit: u64, counts: bool| free_mib < if counts { limit + limit / 4 } else { limit };
        if below(limits.disk_full_mib, before == Self::Full) {
            Self::Full
        } else if below(limits.disk_low_mib, before != Self::Fine) {
            Self::Low
        } else {
            Self::Fine
        }
    }

    /// MiB that must be freed until there is room again.
    #[must_use]
    pub fn shortage_mib(free_mib: u64, limits: &LimitSettings) -> u64 {
        (limits.disk_low_mib + limits.disk_low_mib / 4).saturating_sub(free_mib)
    }

    /// Why nothing new is taken, in words for a response.
    #[must_use]
    pub fn refusal(self, free_mib: u64, limits: &LimitSettings) -> Option<String> {
        let needed = limits.disk_full_mib;
        (self == Self::Full).then(|| {
            format!("{free_mib} MiB are free on the disk, {needed} are needed: delete favourites or other files, or use a larger card")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_fills_and_is_emptied() {
        let limits = LimitSettings::default();
        let mut state = DiskState::default();
        for (free, expected) in [
            (5000, DiskState::Fine),
            (200, DiskState::Fine),
            (199, DiskState::Low),
            (249, DiskState::Low),
            (250, DiskState::Fine),
            (49, DiskState::Full),
            (61, DiskState::Full),
            (62, DiskState::Low),
            (50, DiskState::Low),
            (0, DiskState::Full),
            (9999, DiskState::Fine),
        ] {
            state = DiskState::at(free, &limits, state);
            assert_eq!(state, expected, "{free} MiB");
            let freed = free + DiskState::shortage_mib(free, &limits);
            assert_eq!(DiskState::at(freed, &limits, state), DiskState::Fine);
            let refusal = state.refusal(free, &limits);
            assert_eq!(refusal.is_some(), state == DiskState::Full);
        }
        let words = DiskState::Full.refusal(31, &limits).expect("it is full");
        assert!(
            words.starts_with("31 MiB are free on the disk, 50 are needed"),
            "{words}"
        );
    }
}
