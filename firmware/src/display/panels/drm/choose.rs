//! Which connector, and which of its modes.

/// What a connector says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// As `HDMI-A-1`.
    pub(super) name: String,
    /// A screen is plugged in.
    pub(super) connected: bool,
}

/// One way to drive a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) size: (u32, u32),
    /// Hertz.
    pub(super) refresh: u32,
    /// The screen itself asks for it.
    pub(super) preferred: bool,
}

/// The place of the connector to use, or why none will do.
pub(super) fn connector(offers: &[Offer], name: Option<&str>) -> Result<usize, String> {
    let known = || {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        names.join(", ")
    };
    let Some(name) = name else {
        return offers
            .iter()
            .position(|offer| offer.connected)
            .ok_or_else(|| {
                format!(
                    "nothing is plugged in (looked at {}): plug in a screen",
                    known()
                )
            });
    };
    match offers.iter().position(|offer| offer.name == name) {
        Some(place) if offers[place].connected => Ok(place),
        Some(_) => Err(format!("{name}: nothing is plugged in: plug in the screen")),
        None => Err(format!(
            "there is no connector {name}: correct panel.drm.connector to one of {}",
            known()
        )),
    }
}

/// The place of the mode to use: the size that is configured, then what the screen prefers, then what it names first.
pub(super) fn timing(timings: &[Timing], size: (u32, u32)) -> Option<usize> {
    let rank = |timing: &Timing| {
        let fits = timing.size == size;
        // Of several that fit, the smoothest; beyond 60 Hz only costs power.
        let refresh = if fits { timing.refresh.min(60) } else { 0 };
        (fits, timing.preferred, refresh)
    };
    // The first of the best: `max_by_key` gives the last.
    (0..timings.len())
        .rev()
        .max_by_key(|&place| rank(&timings[place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str, connected: bool) -> Offer {
        let name = name.to_owned();
        Offer { name, connected }
    }

    #[test]
    fn the_first_that_is_connected_or_the_named() {
        let offers = [
            offer("HDMI-A-1", false),
            offer("HDMI-A-2", true),
            offer("DSI-1", true),
        ];
        assert_eq!(connector(&offers, None), Ok(1));
        assert_eq!(connector(&offers, Some("DSI-1")), Ok(2));
        let unplugged = connector(&offers, Some("HDMI-A-1")).unwrap_err();
        assert!(unplugged.contains("plug in the screen"), "{unplugged}");
        let unknown = connector(&offers, Some("HDMI-1")).unwrap_err();
        assert!(unknown.contains("HDMI-A-1, HDMI-A-2, DSI-1"), "{unknown}");
        let nothing = connector(&offers[..1], None).unwrap_err();
        assert!(nothing.contains("HDMI-A-1"), "{nothing}");
    }

    #[test]
    fn a_mode_of_the_configured_size_then_the_preferred_then_the_first() {
        let mode = |size, refresh, preferred| Timing {
            size,
            refresh,
            preferred,
        };
        let modes = [
            mode((1920, 1080), 60, true),
            mode((800, 480), 30, false),
            mode((800, 480), 60, false),
            mode((800, 480), 75, false),
        ];
        assert_eq!(timing(&modes, (800, 480)), Some(2));
        assert_eq!(timing(&modes, (640, 480)), Some(0));
        assert_eq!(timing(&modes[1..], (1, 1)), Some(0));
        assert_eq!(timing(&[], (1, 1)), None);
    }
}
