//! The house's eye on itself: heat, disk, starts, and what the service manager is told.

use super::house::log;
use crate::mqtt;
use crate::watch::{
    DiskState, Governor, Health, LimitSettings, Notifier, Pace, Root, StartMode, Starts, Stuck,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the sensors are read.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often `health` is published.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// The same complaint comes again after so long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Readings, and what follows from them.
pub(super) struct Guard {
    limits: LimitSettings,
    root: Root,
    folder: PathBuf,
    governor: Governor,
    notifier: Arc<Notifier>,
    /// A thread that does not get on.
    stuck: Option<Stuck>,
    starts: Starts,
    started: Instant,
    steady: bool,
    cautious: bool,
    ready: bool,
    disk: DiskState,
    last: Health,
    looked: Option<Instant>,
    said: Option<Instant>,
    complaint: Option<(Instant, String)>,
}

impl Guard {
    /// Counts the start; `folder` is on the disk that is watched.
    pub(super) fn new(limits: &LimitSettings, folder: &Path, notifier: Arc<Notifier>) -> Self {
        let (starts, kept) = Starts::begin(folder.join("starts"), limits);
        if let Err(error) = kept {
            log(&format!("starts: {}: {error}", folder.display()));
        }
        Self {
            limits: limits.clone(),
            root: Root::default(),
            folder: folder.to_owned(),
            governor: Governor::new(limits.clone()),
            notifier,
            stuck: None,
            cautious: starts.mode() == StartMode::Safe,
            starts,
            started: Instant::now(),
            steady: false,
            ready: false,
            disk: DiskState::Fine,
            last: Health::default(),
            looked: None,
            said: None,
            complaint: None,
        }
    }

    /// Whether starts before this one ended early, again and again: then the board does nothing by itself, until somebody
    /// wants it to.
    pub(super) fn is_cautious(&self) -> bool {
        self.cautious
    }

    /// Somebody wants it to.
    pub(super) fn be_bold(&mut self) {
        self.cautious = false;
    }

    /// Reads what is due. Returns how many bytes should be freed on the disk, if any.
    pub(super) fn look(&mut self) -> Option<u64> {
        let now = self.started.elapsed();
        if !self.steady && now >= Duration::from_secs(self.limits.steady_after_s) {
            self.is_steady();
        }
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK_EVERY)
        {
            return None;
        }
        self.looked = Some(Instant::now());
        self.last = self.root.health(&self.folder);
        let before = self.governor.reason();
        self.governor.observe(now, self.last.temperature_c);
        if self.governor.reason() != before {
            let reason = self.governor.reason();
            log(reason.as_deref().unwrap_or("cool again: full speed"));
        }
        let free = self.last.disk_free_mib?;
        self.disk = DiskState::at(free, &self.limits, self.disk);
        let missing = DiskState::shortage_mib(free, &self.limits);
        (self.disk != DiskState::Fine).then_some(missing << 20)
    }

    fn is_steady(&mut self) {
        self.steady = true;
        if let Err(error) = self.starts.steady() {
            self.complain("starts", &error.to_string());
        }
    }

    /// How often [`look`](Self::look) must be called.
    pub(super) fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    /// A thread does not get on: the program ends.
    pub(super) fn is_stuck(&mut self, stuck: Stuck) {
        self.stuck = Some(stuck);
    }

    /// Tells the service manager something; what it does not take is said.
    fn notify(&self, told: io::Result<()>) {
        if let Err(error) = told {
            log(&format!("service manager: {error}"));
        }
    }

    /// All is there that others wait for; `hears`: the broker too, if there is one.
    pub(super) fn ready(&mut self, hears: bool) {
        if !std::mem::replace(&mut self.ready, true) {
            log(if hears {
                "ready"
            } else {
                "ready; the broker is away"
            });
            self.notify(self.notifier.ready("waits for a prompt"));
        }
    }

    /// The configuration is being read again, as the service manager has asked.
    pub(super) fn reloading(&self) {
        self.notify(self.notifier.reloading());
    }

    /// It has been.
    pub(super) fn reloaded(&self) {
        // Before the model is there, the first `ready` says it.
        if self.ready {
            self.notify(self.notifier.ready("has read its configuration again"));
        }
    }

    /// From now on, other limits count.
    pub(super) fn set_limits(&mut self, limits: &LimitSettings) {
        self.limits = limits.clone();
        self.governor.set_limits(limits.clone());
        // What follows from them is looked at next.
        self.looked = None;
    }

    /// It ends; `as_told`: and nothing is wrong with it.
    pub(super) fn stopping(&mut self, as_told: bool) {
        self.notify(self.notifier.stopping());
        if as_told {
            self.is_steady();
        }
    }

    /// How fast the painter may go.
    pub(super) fn pace(&self) -> Pace {
        self.governor.pace()
    }

    /// Why no new prompt is taken.
    pub(super) fn refusal(&self) -> Option<String> {
        self.disk
            .refusal(self.last.disk_free_mib.unwrap_or(0), &self.limits)
    }

    /// What hinders the board, as a word and a line.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(stuck) = &self.stuck {
            return Some(("thread", super::watchdog::farewell(stuck)));
        }
        let heat = self.governor.reason().map(|reason| ("heat", reason));
        let disk = self.refusal().map(|reason| ("disk_full", reason));
        let recent = self.complaint.as_ref();
        let recent = recent.filter(|(when, _)| when.elapsed() < COMPLAIN_EVERY);
        disk.or(heat)
            .or_else(|| recent.map(|(_, text)| ("disk", text.clone())))
            .or_else(|| self.cautious.then(|| ("safe_start", self.early_ends())))
    }

    /// Why the board does nothing by itself.
    pub(super) fn early_ends(&self) -> String {
        let times = self.starts.early_ends();
        format!("the last {times} starts ended early: the playlist is off until it is switched on")
    }

    /// Something failed that may be well again: said once a minute.
    pub(super) fn complain(&mut self, what: &str, error: &str) {
        let text = format!("{what}: {error}");
        let again = self
            .complaint
            .as_ref()
            .is_some_and(|(when, said)| *said == text && when.elapsed() < COMPLAIN_EVERY);
        if !again {
            log(&text);
            self.complaint = Some((Instant::now(), text));
        }
    }

    /// Whether `health` should be published.
    pub(super) fn has_news(&mut self) -> bool {
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if due {
            self.said = Some(Instant::now());
        }
        due
    }

    /// How the board is.
    pub(super) fn health(&self, last_duration: Option<Duration>) -> mqtt::Health {
        let last = &self.last;
        mqtt::Health {
            rss_mib: last.rss_mib.map(|mib| mib as f64),
            temperature_c: last.temperature_c.map(f64::from),
            throttled: last.throttling.map(|bits| bits.now().next().is_some()),
            undervoltage: last.undervoltage,
            disk_free_mib: last.disk_free_mib,
            uptime_s: self.started.elapsed().as_secs(),
            last_duration_s: last_duration.map(|duration| duration.as_secs_f64()),
        }
    }
}
