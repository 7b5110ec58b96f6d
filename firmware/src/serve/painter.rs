//! The thread that paints. It owns the model; the house sends it jobs and hears how they go.

use super::assignment::Assignment;
use super::size::Needs;
use crate::watch::{self, Beat, Pace, words_of};
use easel::{
    CancelToken, LoadOptions, ModelDefaults, Painting, Picture, PictureAbilities, Pipeline,
    Progress, Stage,
};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// How often the model's files are looked at: one that was replaced is loaded.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// One operator of a network may take so long on the slowest board; the library's counter advances after each.
///
/// The longest is a 3×3 convolution of 256 channels to 256 in Stable Diffusion's VAE decoder, behind its last
/// up-sampling: 9 · 256² · width · height products, 155 G at 512×512 of the decoder's 1240 G, 618 G at 1024×1024 without
/// tiles. A Cortex-A53 multiplies at most 4 f32 a cycle and core (`docs/arm-kernels.md`); at half of that, on one thread
/// and with its clock held at 600 MHz by heat, that is 129 s and 515 s. int8 is no slower, though it runs such a layer
/// twice for 16-bit activations. A layer's weights, 2.4 MB here and 52 MB in the largest of a U-Net, take seconds from a slow card.
/// Too short would be worse than too long: a picture that is killed twice is set aside.
const PATIENCE: Duration = Duration::from_secs(600);
/// Loading has stretches of its own without a beat: a graph is read, checked and made for its shapes.
const LOADING_PATIENCE: Duration = Duration::from_secs(1800);

/// What the painter says.
#[derive(Debug)]
pub(crate) enum Report {
    /// A model is loaded, with these defaults, and can do this with pictures.
    Ready(Box<ModelDefaults>, PictureAbilities),
    /// What its pictures take of memory.
    Needs(Needs),
    /// There is no model that loads; it is tried again when its files change, and for the next job.
    Unready(String),
    /// The job goes on.
    Progress(Step),
    /// The job is over.
    Ended(Ending),
}

/// How far a job is.
#[derive(Debug)]
pub(crate) struct Step {
    /// What is being done.
    pub(crate) stage: Stage,
    /// Steps done.
    pub(crate) step: usize,
    /// Steps in all.
    pub(crate) steps: usize,
    /// What is coming, one pixel a latent.
    pub(crate) preview: Option<Picture>,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// There is a picture.
    Painted(Box<Painting>),
    /// Somebody stopped it.
    Stopped,
    /// The request is wrong for this model: trying again does not help.
    Refused(String),
    /// The model or the machine failed: trying again may help.
    Failed(String),
}

/// The house's end.
pub(crate) struct Painter {
    work: Sender<Assignment>,
    control: Arc<Control>,
    beat: Beat,
    thread: JoinHandle<()>,
    /// Says nothing, and is hung up when the thread ends.
    ended: Receiver<()>,
}

/// What the house tells a painter at work.
#[derive(Default)]
struct Control {
    state: Mutex<Orders>,
    changed: Condvar,
}

struct Orders {
    pace: Pace,
    cancel: CancelToken,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            pace: Pace::Full,
            cancel: CancelToken::new(),
        }
    }
}

impl Control {
    fn state(&self) -> MutexGuard<'_, Orders> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a step that took so long: returns when the rest is over or the job is cancelled.
    fn rest(&self, step: Duration) {
        let mut state = self.state();
        let mut rested = false;
        while !rested && !state.cancel.is_cancelled() {
            state = match state.pace {
                Pace::Full => return,
                Pace::Pause => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                pace @ Pace::Slow { .. } => {
                    let waited = self.changed.wait_timeout(state, pace.rest_after(step));
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    rested = timeout.timed_out();
                    state
                }
            };
        }
    }
}

impl Painter {
    /// Starts the thread, which `pulse` watches; it loads the model of `find` and reports.
    pub(crate) fn start(
        find: impl Fn() -> Result<PathBuf, String> + Send + 'static,
        options: LoadOptions,
        pulse: &watch::Pulse,
        report: impl Fn(Report) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (work, jobs) = channel();
        let control = Arc::<Control>::default();
        let operators = options.progress.clone();
        let (alive, ended) = channel();
        let mut studio = Studio {
            find: Box::new(find),
            options,
            report: Box::new(report),
            control: control.clone(),
            pipeline: None,
            looked_at: None,
            changing: None,
        };
        let (beat, thread) = pulse.spawn("painter", PATIENCE, move |beat| {
            let _alive: Sender<()> = alive;
            beat.count(move || operators.count());
            studio.work(&jobs, beat);
        })?;
        Ok(Self {
            work,
            control,
            beat,
            thread,
            ended,
        })
    }

    /// Gives it a job. It must have none.
    pub(crate) fn paint(&self, work: impl Into<Assignment>) {
        self.control.state().cancel = CancelToken::new();
        if self.work.send(work.into()).is_err() {
            // It ends only when this sender is dropped: it has panicked.
            self.beat.lost();
        }
    }

    /// Asks it to stop the job; it says when it has.
    pub(crate) fn cancel(&self) {
        self.control.state().cancel.cancel();
        self.control.changed.notify_all();
    }

    /// From now on it goes at this pace.
    pub(crate) fn set_pace(&self, pace: Pace) {
        let mut state = self.control.state();
        if std::mem::replace(&mut state.pace, pace) != pace {
            self.control.changed.notify_all();
        }
    }

    /// Cancels what it does and waits until it is gone, but no longer than that. Returns whether it is.
    pub(crate) fn stop(self, within: Duration) -> bool {
        self.cancel();
        drop(self.work);
        let gone = self.ended.recv_timeout(within) == Err(RecvTimeoutError::Disconnected);
        if gone {
            let _ = self.thread.join();
        }
        gone
    }
}

/// The thread's end.
struct Studio {
    find: Box<dyn Fn() -> Result<PathBuf, String> + Send>,
    options: LoadOptions,
    report: Box<dyn Fn(Report) + Send>,
    control: Arc<Control>,
    pipeline: Option<Pipeline>,
    /// The files of the model as they were before it was loaded, whether it was or not.
    looked_at: Option<Files>,
    /// Files that have changed since, as they were at the last look: somebody may still be copying.
    changing: Option<Files>,
}

impl Studio {
    fn work(&mut self, jobs: &Receiver<Assignment>, beat: &Beat) {
        // Why it does not load has been reported.
        let _ = self.load(beat, &CancelToken::new());
        loop {
            beat.rest();
            match jobs.recv_timeout(LOOK_AGAIN) {
                Ok(work) => {
                    let ending = self.paint(&work, beat);
                    (self.report)(Report::Ended(ending));
                }
                Err(RecvTimeoutError::Timeout) => {
                    beat.work();
                    let files = self.files();
                    if files == self.looked_at {
                        self.changing = None;
                    } else if self.changing != files {
                        self.changing = files;
                    } else {
                        let _ = self.load(beat, &CancelToken::new());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn load(&mut self, beat: &Beat, cancel: &CancelToken) -> Result<(), String> {
        beat.work_for(LOADING_PATIENCE);
        // First what was there goes: two do not fit.
        self.pipeline = None;
        self.changing = None;
        self.looked_at = self.files();
        let load = || {
            let dir = (self.find)()?;
            let loaded = Pipeline::load_until(&dir, &self.options, cancel);
            loaded.map_err(|error| error.to_string())
        };
        // A damaged file that upsets a parser must not end the appliance.
        let loaded =
            catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| Err(words(&*panic)));
        match loaded {
            Ok(mut pipeline) => {
                let defaults = pipeline.defaults().clone();
                let size = defaults.size;
                let abilities = pipeline.picture_abilities();
                (self.report)(Report::Ready(Box::new(defaults), abilities));
                // A plan that cannot be made is a matter of the first picture.
                let plan = catch_unwind(AssertUnwindSafe(|| pipeline.memory_plan(None).ok()));
                if let Ok(Some(plan)) = plan {
                    (self.report)(Report::Needs(Needs::of(&plan, size)));
                }
                self.pipeline = Some(pipeline);
                Ok(())
            }
            Err(reason) => {
                // A load that nobody wants any more says nothing of the model.
                if cancel.is_cancelled() {
                    self.looked_at = None;
                } else {
                    (self.report)(Report::Unready(reason.clone()));
                }
                Err(reason)
            }
        }
    }

    fn files(&self) -> Option<Files> {
        (self.find)().ok().map(|dir| files_of(&dir))
    }

    fn paint(&mut self, work: &Assignment, beat: &Beat) -> Ending {
        let cancel = self.control.state().cancel.clone();
        if cancel.is_cancelled() {
            return Ending::Stopped;
        }
        beat.work_for(PATIENCE);
        let is_another = self.files() != self.looked_at;
        if (self.pipeline.is_none() || is_another)
            && let Err(reason) = self.load(beat, &cancel)
        {
            return match cancel.is_cancelled() {
                true => Ending::Stopped,
                false => Ending::Failed(reason),
            };
        }
        let Some(mut pipeline) = self.pipeline.take() else {
            return Ending::Failed("the model is not loaded".to_owned());
        };
        beat.work_for(PATIENCE);
        // A picture that upsets a decoder is no reason to read the model again.
        let read = catch_unwind(AssertUnwindSafe(|| work.read(&pipeline)));
        let request = match read.unwrap_or_else(|panic| Err(words(&*panic))) {
            Ok(request) => request,
            Err(reason) => {
                self.pipeline = Some(pipeline);
                return Ending::Refused(reason);
            }
        };
        beat.work_for(PATIENCE);
        let mut begun = Instant::now();
        let paint = || {
            pipeline.paint(&request, &cancel, &mut |progress| {
                (self.report)(Report::Progress(step(progress)));
                if progress.stage == Stage::Denoise && progress.step > 0 {
                    // For the heat, for as long as it takes.
                    beat.rest();
                    self.control.rest(begun.elapsed());
                    beat.work();
                }
                begun = Instant::now();
            })
        };
        let painted = match catch_unwind(AssertUnwindSafe(paint)) {
            Ok(painted) => painted,
            Err(panic) => return Ending::Failed(words(&*panic)),
        };
        match painted {
            Ok(painting) => {
                self.pipeline = Some(pipeline);
                Ending::Painted(Box::new(painting))
            }
            Err(easel::Error::Cancelled) => {
                self.pipeline = Some(pipeline);
                Ending::Stopped
            }
            // A file of the model that is not what it was is nothing that another request would mend.
            Err(error) if error.is_usage() && !matches!(error, easel::Error::Runtime(_)) => {
                self.pipeline = Some(pipeline);
                Ending::Refused(error.to_string())
            }
            // The model is read anew for the next job: its files may have been replaced under our feet.
            Err(error) => {
                self.looked_at = self.files();
                Ending::Failed(error.to_string())
            }
        }
    }
}

fn step(progress: &Progress<'_>) -> Step {
    Step {
        stage: progress.stage,
        step: progress.step,
        steps: progress.steps,
        preview: progress.preview(),
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = words_of(panic);
    format!("a fault in easel: {text}: please report it")
}

/// Files by name, with their number, size and times of change: the last is nobody's to set.
type Files = Vec<(PathBuf, u64, u64, Option<SystemTime>, (i64, i64))>;

/// A model's files, two folders deep: enough to see that one was replaced.
fn files_of(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(known) = std::fs::metadata(entry.path()) else {
                continue;
            };
            if known.is_dir() && depth < 2 {
                folders.push((entry.path(), depth + 1));
            } else if !known.is_dir() {
                let changed = (known.ctime(), known.ctime_nsec());
                let modified = known.modified().ok();
                files.push((entry.path(), known.ino(), known.len(), modified, changed));
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use easel::PaintRequest;

    #[test]
    fn a_rest_ends_when_it_is_told_or_the_job_is_cancelled() {
        let control = Arc::<Control>::default();
        control.rest(Duration::ZERO); // at once
        for end in [
            (|c: &Control| c.state().pace = Pace::Full) as fn(&Control),
            |c| c.state().cancel.cancel(),
        ] {
            control.state().pace = Pace::Pause;
            let resting = std::thread::spawn({
                let control = control.clone();
                move || control.rest(Duration::ZERO)
            });
            end(&control);
            // Again and again: it may not have begun to wait at the first.
            while !resting.is_finished() {
                control.changed.notify_all();
                std::thread::yield_now();
            }
            resting.join().expect("it does not panic");
        }
    }

    #[test]
    fn a_model_that_appears_is_loaded_and_a_job_without_one_fails() {
        let (reports, heard) = channel();
        let painter = Painter::start(
            || Err("model: none".to_owned()),
            LoadOptions::default(),
            &watch::Pulse::default(),
            move |report| drop(reports.send(report)),
        )
        .expect("a thread");
        let next = || {
            heard
                .recv_timeout(Duration::from_secs(60))
                .expect("a report")
        };
        assert!(matches!(next(), Report::Unready(reason) if reason == "model: none"));
        painter.paint(PaintRequest::new("a cat"));
        assert!(matches!(next(), Report::Unready(_)));
        assert!(matches!(next(), Report::Ended(Ending::Failed(reason)) if reason == "model: none"));
        assert!(painter.stop(Duration::from_secs(60)));
    }

    #[test]
    fn nobody_waits_for_a_painter_that_does_not_stop() {
        let (finish, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let painter = Painter::start(
            move || {
                let _ = wait.lock().map(|wait| wait.recv());
                Err("model: none".to_owned())
            },
            LoadOptions::default(),
            &watch::Pulse::default(),
            |_| {},
        )
        .expect("a thread");
        painter.paint(PaintRequest::new("a cat"));
        assert!(!painter.stop(Duration::from_millis(10)));
        drop(finish);
    }

    #[test]
    fn a_job_that_is_cancelled_before_it_begins_is_not_begun() {
        let (finish, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let (reports, heard) = channel();
        let painter = Painter::start(
            move || {
                let _ = wait.lock().map(|wait| wait.recv());
                Err("model: none".to_owned())
            },
            LoadOptions::default(),
            &watch::Pulse::default(),
            move |report| drop(reports.send(report)),
        )
        .expect("a thread");
        painter.paint(PaintRequest::new("a cat"));
        painter.cancel();
        drop(finish);
        let next = || {
            heard
                .recv_timeout(Duration::from_secs(60))
                .expect("a report")
        };
        assert!(matches!(next(), Report::Unready(_)));
        assert!(matches!(next(), Report::Ended(Ending::Stopped)));
        assert!(painter.stop(Duration::from_secs(60)));
    }

    #[test]
    fn a_painter_that_panics_or_hangs_is_seen() {
        let second = Duration::from_secs;
        let pulse = watch::Pulse::default();
        let none = || Err("model: none".to_owned());
        let report = |_| panic!("as it should");
        let painter = Painter::start(none, LoadOptions::default(), &pulse, report);
        let painter = painter.expect("a thread");
        pulse.wait(second(3600));
        let stuck = pulse.check(second(0)).expect_err("it has panicked");
        assert_eq!(stuck.to_string(), "painter: has panicked: as it should");
        painter.paint(PaintRequest::new("a cat"));
        assert!(painter.stop(second(60)), "it is gone");

        let pulse = watch::Pulse::default();
        let (finish, wait) = channel::<()>();
        let (begun, begins) = channel();
        let hangs = Mutex::new((begun, wait));
        let find = move || {
            // Held until the test is over.
            let hangs = hangs.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = hangs.0.send(());
            let _ = hangs.1.recv();
            Err("model: none".to_owned())
        };
        let painter = Painter::start(find, LoadOptions::default(), &pulse, |_| {});
        begins.recv().expect("it begins");
        // It looks for its files before it loads: that is no rest either.
        assert_eq!(pulse.check(second(10)), Ok(()));
        assert_eq!(pulse.check(second(10) + LOADING_PATIENCE), Ok(()));
        let stuck = pulse.check(second(11) + LOADING_PATIENCE);
        let stuck = stuck.expect_err("it hangs").to_string();
        assert_eq!(stuck, "painter: no progress for 1801 s");
        drop((finish, painter));
    }
}
