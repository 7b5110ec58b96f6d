//! The one that decides. It owns queue, history and playlist, hears everything on one channel, and never waits for
//! anything else: painting, drawing and the connection have threads of their own.

use super::assignment::Assignment;
use super::live::{Live, LiveFile};
use super::orders::{End, How};
use super::painter::{Ending, Painter, Report, Step};
use super::reload::InForce;
use super::size::Needs;
use crate::board::Config;
use crate::display::{Display, PanelSettings, Screen};
use crate::inputs::{InputEvent, Inputs};
use crate::jobs::{History, Job, JobId, NewJob, Order, Outcome, Queue, Source};
use crate::kiosk::{Kiosk, Playlist, PlaylistFile, Wish};
use crate::mqtt::{Client, Inbound, Outbound, State, Ticket};
use crate::watch::{Clock, Moment, Pulse, Stuck};
use easel::{ModelDefaults, PictureAbilities, Stage};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Something that the house hears.
#[derive(Debug)]
pub(super) enum Event {
    /// From the broker.
    Broker(Box<Inbound>),
    /// From the painter.
    Painter(Report),
    /// From somebody at the board.
    Input(InputEvent),
    /// The system wants the configuration to be read again.
    ReadAgain,
    /// The system wants the board to stop.
    Stop,
    /// A thread does not get on.
    Stuck(Stuck),
}

/// After a failure of the model the next job waits so long, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// An error stays on the panel so long before the picture comes back.
pub(super) const ERROR_STAYS: Duration = Duration::from_secs(20);
/// With its model loaded, a board waits so long for its broker before it is ready without.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);
/// Between two previews of one picture, at least.
const PREVIEW_EVERY: Duration = Duration::from_secs(1);
/// The house looks after itself at least so often.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);
/// A painter that is told to stop has so long before it is said, or, when all stops, before it is left behind.
pub(super) const PAINTER_STOPS: Duration = Duration::from_secs(2);

/// What the house has.
pub(super) struct House {
    pub(super) config: Config,
    pub(super) in_force: InForce,
    /// Buttons and the like at work.
    pub(super) inputs: Option<Inputs>,
    /// Watches over whatever is started later.
    pub(super) pulse: Pulse,
    /// Where whatever is started later tells what it hears.
    pub(super) events: Sender<Event>,
    pub(super) queue: Queue,
    pub(super) history: History,
    pub(super) kiosk: Kiosk,
    pub(super) playlist: Option<PlaylistFile>,
    pub(super) live: Live,
    pub(super) live_file: LiveFile,
    pub(super) clock: Clock,
    pub(super) painter: Painter,
    pub(super) display: Option<Display>,
    /// Why there is no display, if one is configured.
    pub(super) panel_problem: Option<String>,
    pub(super) client: Option<Client>,
    /// What a prompt is sent to; for the set-up screen.
    pub(super) address: String,
    pub(super) model_dir: Option<std::path::PathBuf>,
    pub(super) random: fn() -> u64,
    pub(super) guard: super::guard::Guard,
    pub(super) at: Situation,
}

/// What changes while it runs.
#[derive(Default)]
pub(super) struct Situation {
    /// The model's defaults, once it is loaded.
    pub(super) model: Option<ModelDefaults>,
    /// What it can do with pictures.
    pub(super) abilities: Option<PictureAbilities>,
    /// What its pictures take of memory.
    pub(super) needs: Option<Needs>,
    /// Why nothing is painted.
    pub(super) trouble: Option<Trouble>,
    /// What is being painted.
    pub(super) work: Option<Work>,
    /// Since when the painter has been told to stop a job that is over: until it has, it can take no other.
    pub(super) leaving: Option<Instant>,
    /// It failed once.
    pub(super) failed: Option<JobId>,
    /// What became of the last job, as long as the disk does not take it.
    pub(super) end: Option<End>,
    /// What the file of playlists said when it could be read last.
    pub(super) playlists: Vec<Playlist>,
    /// The picture on the panel.
    pub(super) shown: Option<JobId>,
    /// The panel shows something else until then.
    pub(super) notice_until: Option<Instant>,
    /// Prompts of the group that came when there was no room.
    pub(super) held: Vec<(NewJob, Ticket)>,
    pub(super) online: bool,
    /// What the broker does not let the board hear, as it was told last; `None`: there has been no connection yet.
    pub(super) refused: Option<Vec<String>>,
    /// Why the panel does not work, as the log has it.
    pub(super) panel_said: Option<String>,
    /// Since when there is a model.
    pub(super) model_since: Option<Instant>,
    /// Why there is no connection, as it was said last.
    pub(super) offline: Option<String>,
    pub(super) dark: bool,
    /// The state that was published last, and when.
    pub(super) said: Option<(State, Instant)>,
    /// Whether the group was told that a prompt may come.
    pub(super) room: Option<bool>,
    /// The minute on the panel.
    pub(super) minute: u64,
    pub(super) last_duration: Option<Duration>,
    /// The playlist asked for what cannot be painted, and is not asked again before.
    pub(super) kiosk_rests: Option<Instant>,
    /// Since when all stops.
    pub(super) stopping: Option<Instant>,
    /// Why the program ends, if nobody has told it to.
    pub(super) gives_up: Option<String>,
}

/// Why nothing is painted.
pub(super) struct Trouble {
    pub(super) reason: String,
    /// Then it is tried again.
    until: Instant,
    pause: Duration,
}

/// A job on the painter's desk.
pub(super) struct Work {
    pub(super) job: Job,
    pub(super) step: usize,
    pub(super) steps: usize,
    /// When the steps began, and when the last one was done.
    first: Option<Instant>,
    last: Option<Instant>,
    preview: Option<Arc<image::RgbImage>>,
    preview_said: Option<Instant>,
}

impl Work {
    fn new(job: Job) -> Self {
        Self {
            job,
            step: 0,
            steps: 0,
            first: None,
            last: None,
            preview: None,
            preview_said: None,
        }
    }

    /// What is left, by the steps so far.
    pub(super) fn left(&self) -> Option<Duration> {
        let taken = self.last?.duration_since(self.first?);
        let step = taken.checked_div(u32::try_from(self.step).ok()?)?;
        Some(step * u32::try_from(self.steps.saturating_sub(self.step)).ok()?)
    }
}

impl House {
    /// Takes one event.
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Broker(inbound) => self.hear_broker(*inbound),
            Event::Painter(report) => self.hear_painter(report),
            Event::Input(input) => self.hear_input(input),
            Event::ReadAgain => self.reload(),
            Event::Stop => self.stop(),
            Event::Stuck(stuck) => self.give_up(stuck),
        }
    }

    /// Does what is due, and says how long nothing is.
    pub(super) fn work(&mut self) -> Duration {
        let now = self.clock.now();
        self.look_after_itself();
        self.read_configuration_again();
        self.read_playlist_again();
        let night = self.kiosk.night(&now);
        self.set_dark(night.dark);
        self.settle();
        self.take_what_was_held();
        self.start_the_next(night.prompts);
        self.ask_the_kiosk(&now);
        self.expire();
        self.show_what_is_due();
        self.set_room();
        self.say_when_ready();
        self.say_panel();
        self.say_state();
        self.keep_settings();
        let kiosk = self.kiosk.next_due(&now).unwrap_or(LONGEST_SLEEP);
        let notice = self.until(self.at.notice_until);
        let trouble = self.until(self.at.trouble.as_ref().map(|trouble| trouble.until));
        let expiry = if self.queue.is_empty() {
            LONGEST_SLEEP
        } else {
            Duration::from_secs(1)
        };
        let configuration = self.in_force.due().unwrap_or(LONGEST_SLEEP);
        let told_to_stop = [self.at.leaving, self.at.stopping].into_iter().flatten();
        let painter = self.until(told_to_stop.map(|since| since + PAINTER_STOPS).max());
        [kiosk, notice, trouble, expiry, configuration, painter]
            .into_iter()
            .fold(LONGEST_SLEEP, Duration::min)
            // A due time that is over and changes nothing must not make it spin.
            .max(Duration::from_millis(10))
    }

    /// Ready is a board that paints and hears: its model is loaded, its panel was opened or has failed, and the broker knows what
    /// it listens to. One whose broker is away is ready as well: it paints from its playlist, and nobody may wait for ever.
    fn say_when_ready(&mut self) {
        let Some(since) = self.at.model_since else {
            return;
        };
        let hears = self.client.is_none() || self.at.online;
        if hears || self.at.offline.is_some() || since.elapsed() >= BROKER_PATIENCE {
            self.guard.ready(hears);
        }
    }

    /// Says once what is wrong with the panel, and when that changes.
    fn say_panel(&mut self) {
        let trouble = self.panel_trouble();
        if trouble != self.at.panel_said {
            log(trouble.as_deref().unwrap_or("panel: it works again"));
            self.at.panel_said = trouble;
        }
    }

    fn until(&self, due: Option<Instant>) -> Duration {
        due.map_or(LONGEST_SLEEP, |due| {
            due.saturating_duration_since(Instant::now())
        })
    }

    fn hear_painter(&mut self, report: Report) {
        match report {
            Report::Ready(defaults, abilities) => {
                self.at.model = Some(*defaults);
                self.at.abilities = Some(abilities);
                self.at.needs = None;
                self.at.trouble = None;
                self.at.model_since.get_or_insert_with(Instant::now);
                self.say_info();
                self.refuse_what_does_not_fit();
            }
            Report::Needs(needs) => {
                self.at.needs = Some(needs);
                self.refuse_what_does_not_fit();
            }
            Report::Unready(reason) => {
                log(&reason);
                self.is_in_trouble(reason);
            }
            Report::Progress(step) => self.goes_on(step),
            Report::Ended(ending) => self.ended(ending),
        }
    }

    fn goes_on(&mut self, step: Step) {
        let now = Instant::now();
        let Some(work) = &mut self.at.work else {
            return;
        };
        (work.step, work.steps) = (step.step, step.steps);
        match step.stage {
            Stage::Denoise if step.step == 0 => work.first = Some(now),
            Stage::Denoise => work.last = Some(now),
            Stage::Encode | Stage::Text | Stage::Decode => {}
        }
        if let Some(preview) = step.preview {
            work.preview = super::pictures::rgb(preview).map(Arc::new);
        }
        let screen = Screen::Painting {
            prompt: work.job.order.prompt.clone(),
            step: work.step,
            steps: work.steps,
            left: work.left(),
            preview: work.preview.clone(),
        };
        let said = work.preview_said;
        let is_due = said.is_none_or(|said| now.saturating_duration_since(said) >= PREVIEW_EVERY);
        let preview = work.preview.clone();
        let preview = preview.filter(|_| is_due && self.at.online);
        if preview.is_some() {
            work.preview_said = Some(now);
        }
        if step.stage == Stage::Denoise {
            self.show(screen);
        }
        if let Some(preview) = preview {
            self.publish(Outbound::Preview(super::jpeg::preview(&preview)));
        }
    }

    fn ended(&mut self, ending: Ending) {
        self.at.leaving = None;
        // Of a job that was cancelled nothing counts any more.
        let Some(Work { job, .. }) = self.at.work.take() else {
            return;
        };
        let failed_before = self.at.failed.take().is_some_and(|failed| failed == job.id);
        match ending {
            Ending::Painted(painting) => {
                self.at.trouble = None;
                self.painted(job, *painting);
            }
            // Whoever cancels has ended the job before.
            Ending::Stopped => self.end(End::new(job, How::Again)),
            Ending::Refused(reason) => self.failed(job, "refused", &reason),
            // Once may be the weather: a card that was moved, a file that was being replaced.
            Ending::Failed(reason) if !failed_before => {
                log(&format!("{}: {reason}: it is tried once more", job.id));
                self.at.failed = Some(job.id.clone());
                self.end(End::new(job, How::Again));
                self.is_in_trouble(reason);
            }
            Ending::Failed(reason) => {
                self.failed(job, "failed", &reason);
                self.is_in_trouble(reason);
            }
        }
    }

    /// Nothing is painted for a while; longer each time that the trouble is still there after it.
    fn is_in_trouble(&mut self, reason: String) {
        let now = Instant::now();
        let pause = match &self.at.trouble {
            None => FIRST_PAUSE,
            // Another word on the same trouble.
            Some(trouble) if now < trouble.until => trouble.pause,
            Some(trouble) => (2 * trouble.pause).min(LONGEST_PAUSE),
        };
        self.show_error(&reason);
        self.at.trouble = Some(Trouble {
            reason,
            until: now + pause,
            pause,
        });
    }

    /// Starts the next job, if painting may begin; `prompts`: those of people too.
    pub(super) fn start_the_next(&mut self, prompts: bool) {
        if self.at.stopping.is_some() || self.is_busy() {
            return;
        }
        // As long as the model loads, nothing is taken: it may turn out that this model cannot paint it.
        if self.at.model.is_none() && self.at.trouble.is_none() {
            return;
        }
        let in_trouble = self.at.trouble.as_ref();
        let waits = in_trouble.is_some_and(|trouble| Instant::now() < trouble.until);
        let next_is_persons = self
            .queue
            .waiting()
            .next()
            .is_some_and(|job| job.source != Source::Kiosk);
        if waits || (next_is_persons && !prompts) {
            return;
        }
        let Some(job) = self.take() else {
            return;
        };
        if self.has_painted(&job) {
            // The power went between the picture and its record.
            let end = End::new(job, How::Over(Outcome::Done));
            self.show_kept(&end.job.id);
            return self.end(end);
        }
        // It was accepted before the model was known, or by another version.
        if let Some((code, text)) = self.cannot_paint(&job.order) {
            return self.failed(job, code, &text);
        }
        let mut assignment = Assignment::new(&job.order, self.queue.pictures());
        if let Some(model) = &self.at.model {
            assignment.suit(model, self.panel_as_mounted());
        }
        self.painter.paint(assignment);
        self.show(Screen::Caption {
            prompt: job.order.prompt.clone(),
            heading: String::new(),
        });
        self.at.work = Some(Work::new(job));
    }

    /// Width and height of what the viewer sees, as it is turned now.
    fn panel_as_mounted(&self) -> (u32, u32) {
        let rotation = self.live.rotation.unwrap_or(self.config.panel.rotation);
        PanelSettings {
            rotation,
            ..self.config.panel.clone()
        }
        .as_mounted()
    }

    fn ask_the_kiosk(&mut self, now: &Moment) {
        let busy = self.is_busy() || !self.queue.is_empty();
        let rests = self.at.kiosk_rests;
        let may_paint = self.at.trouble.is_none()
            && rests.is_none_or(|until| until <= Instant::now())
            && self.guard.refusal().is_none()
            && !self.guard.is_cautious()
            && self.at.stopping.is_none();
        match self.kiosk.poll(now, busy || !may_paint) {
            None => {}
            Some(Wish::ShowAgain) => {
                if !self.show_something_again()
                    && let Some(wish) = self.kiosk.draw(now)
                {
                    self.grant(wish, Source::Kiosk);
                }
            }
            Some(wish) => self.grant(wish, Source::Kiosk),
        }
    }

    /// Does what the playlist has next.
    pub(super) fn grant(&mut self, wish: Wish, source: Source) {
        match wish {
            Wish::Paint(order) => self.paint_for_the_kiosk(order, source),
            Wish::Vary => {
                // Without a picture its turn is over, and the next is as good.
                if !self.vary(source) {
                    self.at.kiosk_rests = Some(Instant::now() + FIRST_PAUSE);
                }
            }
            Wish::ShowAgain => drop(self.show_something_again()),
        }
    }

    /// A prompt goes before the playlist: what the playlist paints now makes way, and comes again another time.
    pub(super) fn make_way(&mut self) {
        let work = self.at.work.as_ref();
        let of_kiosk = work.filter(|work| work.job.source == Source::Kiosk);
        if let Some(id) = of_kiosk.map(|work| work.job.id.clone()) {
            self.cancel(Some(id));
        }
    }

    /// Paints what the playlist has next. Where it cannot be painted, the playlist rests: its next may be as wrong.
    pub(super) fn paint_for_the_kiosk(&mut self, order: Order, source: Source) {
        if let Some((_, text)) = self.cannot_paint(&order) {
            log(&format!("playlist: {text}"));
            self.show_error(&text);
            self.at.kiosk_rests = Some(Instant::now() + FIRST_PAUSE);
        }
        self.push(NewJob::new(order, source), None);
        self.start_the_next(true);
    }

    fn read_playlist_again(&mut self) {
        match self.playlist.as_mut().and_then(PlaylistFile::changed) {
            None => {}
            Some(Ok(playlists)) => {
                self.at.playlists.clone_from(&playlists);
                self.kiosk.set_playlists(playlists);
            }
            Some(Err(error)) => log(&format!("playlist: {error}")),
        }
    }

    fn look_after_itself(&mut self) {
        if let Some(bytes) = self.guard.look() {
            self.make_room(bytes);
        }
        self.painter.set_pace(self.guard.pace());
        if self.guard.has_news() {
            let health = self.guard.health(self.at.last_duration);
            self.publish(Outbound::Health(health));
        }
    }

    /// Deletes old pictures until so many bytes are freed, if there are any.
    pub(super) fn make_room(&mut self, bytes: u64) {
        let freed = self
            .history
            .prune_to(self.history.bytes().saturating_sub(bytes));
        if freed > 0 {
            let kib = freed >> 10;
            log(&format!(
                "the disk is nearly full: {kib} KiB of old pictures are deleted"
            ));
        }
    }

    fn set_dark(&mut self, dark: bool) {
        if self.at.dark != dark {
            self.at.dark = dark;
            if let Some(display) = &self.display {
                display.set_dark(dark);
            }
            self.say_settings();
        }
    }

    /// Ends the program, since a thread of it does not get on. The job at work counts as interrupted only if it is the painter
    /// that does not stop.
    fn give_up(&mut self, stuck: Stuck) {
        self.at.gives_up = Some(super::watchdog::farewell(&stuck));
        if stuck.name == "connection" {
            self.at.online = false;
        }
        self.guard.is_stuck(stuck);
        self.say_state();
        self.stop();
    }

    fn keep_settings(&mut self) {
        if let Some(kiosk) = self.kiosk.unsaved() {
            self.live.kiosk = kiosk.clone();
        }
        if let Err(error) = self.live_file.keep(&self.live) {
            self.guard.complain("settings", &error);
        }
    }
}

/// A line on standard error: the service manager keeps it, with the time.
pub(super) fn log(text: &str) {
    eprintln!("easel: {}", easel::one_line(text));
}
