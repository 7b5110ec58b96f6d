//! The bounded queue that outlasts a power cut.

use super::answers::{Cancel, JournalError, Pushed, Recovered, Rejection, Taken};
use super::boot;
use super::disk::{Disk, FolderLock, RealDisk};
use super::journal::Journal;
use super::line::Line;
use super::pictures::Pictures;
use super::record::{LARGEST_RECORD, json};
use super::set_aside::SetAside;
use super::{
    Entry, Job, JobId, LARGEST_QUEUE, Moment, NewJob, Outcome, QueueSettings, Source, Status,
};
use easel::files::own_private_folder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Characters of the reason of a failure that are kept.
const LONGEST_REASON: usize = 500;

/// Jobs that wait, in the order of painting; owned by one thread.
///
/// What a method returns has been synced to the journal before. Where one fails, nothing has changed and it may be
/// tried again.
pub struct Queue {
    line: Line,
    journal: Journal,
    /// What is true, and could not be written.
    unwritten: Vec<Entry>,
    set_aside: SetAside,
    pictures: Pictures,
    capacity: usize,
    /// This start of the machine.
    boot: Option<String>,
    _lock: FolderLock,
}

impl Queue {
    /// Opens the queue that is kept in `folder`, which is made where it is missing. A job that was being painted waits
    /// again.
    ///
    /// # Errors
    /// Another process uses the folder, or it cannot be made or read. A full disk is no error here, a damaged
    /// journal neither.
    pub fn open(
        folder: &Path,
        settings: &QueueSettings,
        now: Moment,
    ) -> Result<(Self, Recovered), JournalError> {
        Self::open_on(Arc::new(RealDisk), folder, settings, boot::current(), now)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        settings: &QueueSettings,
        boot: Option<String>,
        now: Moment,
    ) -> Result<(Self, Recovered), JournalError> {
        let failed = |problem| JournalError::Disk {
            path: folder.to_owned(),
            problem,
        };
        own_private_folder(folder).map_err(failed)?;
        let lock = FolderLock::take(folder).map_err(failed)?;
        let lock = lock.ok_or_else(|| JournalError::Locked(folder.to_owned()))?;
        let (journal, found) = Journal::open(Arc::clone(&disk), folder)?;
        let mut line = Line::default();
        for entry in found.reading.entries {
            line.apply(entry);
        }
        let interrupted = line.interrupted(boot.as_deref());
        let recovered = Recovered {
            waiting: line.waiting().len() + usize::from(interrupted.is_some()),
            interrupted: line.painting().map(|job| job.id.clone()),
            cut: found.cut,
            damaged: found.reading.damaged.len(),
            dropped: line.dropped,
            set_aside: found.set_aside,
        };
        let mut queue = Self {
            line,
            journal,
            unwritten: Vec::new(),
            set_aside: SetAside::new(Arc::clone(&disk), folder),
            pictures: Pictures::open(disk, folder),
            capacity: settings.capacity.min(LARGEST_QUEUE),
            boot,
            _lock: lock,
        };
        queue.resume(interrupted, now);
        Ok((queue, recovered))
    }

    /// Sets the deadlines, puts down how the last attempt ended, and writes the journal anew where that helps the next
    /// start. A full disk is no reason not to start: what cannot be written now is written with the next entry.
    fn resume(&mut self, interrupted: Option<Entry>, now: Moment) {
        if let Some(entry) = interrupted {
            if self.record(std::slice::from_ref(&entry)).is_err() {
                self.journal.make_stale();
            }
            self.line.apply(entry);
        }
        let mut counts_anew = false;
        self.line.for_each_waiting(|job| {
            let counts = job.resume(&now);
            counts_anew |= counts && job.ttl.is_some();
        });
        if counts_anew {
            self.journal.make_stale();
        }
        if self.journal.is_stale() {
            let _ = self.record(&[]);
        }
        self.leave_pictures();
    }

    /// Takes a job in. `random` is 64 random bits, for its seed and its name where it has none.
    ///
    /// The playlist's jobs take no room from others: those are counted without them.
    ///
    /// # Errors
    /// A [`Rejection`], of which nothing is kept.
    pub fn push(&mut self, new: NewJob, random: u64, now: Moment) -> Result<Pushed, Rejection> {
        let given = new.given.unwrap_or_else(|| new.order.given());
        if let Some(id) = &new.id
            && let Some((status, error)) = self.line.find(id)
        {
            if !self.line.came_of(id, &new.order.only(&given)) {
                return Err(Rejection::IdTaken { id: id.clone() });
            }
            return Ok(Pushed::Known {
                id: id.clone(),
                status,
                error: error.map(str::to_owned),
            });
        }
        if new.ttl == Some(Duration::ZERO) {
            return Err(Rejection::Expired);
        }
        let counts = |job: &&Job| new.source == Source::Kiosk || job.source != Source::Kiosk;
        if self.line.waiting().filter(counts).count() >= self.capacity {
            let capacity = self.capacity;
            return Err(Rejection::QueueFull { capacity });
        }
        let id = new.id.unwrap_or_else(|| self.new_id(random));
        let mut order = new.order;
        // 32 bits: short enough to type again.
        order.seed.get_or_insert(random & 0xffff_ffff);
        let entry = Entry::Accepted(Box::new(Job {
            sequence: self.line.next(),
            id: id.clone(),
            order,
            given: Some(given),
            source: new.source,
            reply: new.reply,
            accepted: now.wall,
            ttl: new.ttl,
            deadline: new.ttl.and_then(|ttl| now.steady.checked_add(ttl)),
            attempts: 0,
            power_cuts: 0,
            unstopped: 0,
        }));
        let bytes = json(std::slice::from_ref(&entry)).len();
        if bytes > LARGEST_RECORD {
            return Err(Rejection::TooLong { bytes });
        }
        let position = self.line.position(new.source);
        // First: what is over lets go of its pictures then, and these are nobody's yet.
        self.write_down()?;
        let kept = self.pictures.keep(&new.pictures);
        let taken = kept.and_then(|()| self.commit(vec![entry]));
        // Of a job that is not taken nothing stays.
        self.leave_pictures();
        taken?;
        Ok(Pushed::Queued { id, position })
    }

    /// The next job to paint, the attempt on record; the jobs that must not be painted any more.
    ///
    /// # Errors
    /// The disk.
    pub fn take(&mut self, now: Moment) -> Result<Taken, JournalError> {
        if self.line.painting().is_some() {
            return Ok(Taken {
                expired: self.expire(now)?,
                ..Taken::default()
            });
        }
        let mut entries = self.expiries(now);
        let mut set_aside = Vec::new();
        for job in self.line.waiting().filter(|job| !job.has_expired(&now)) {
            let Some(reason) = job.why_set_aside() else {
                let (id, boot) = (job.id.clone(), self.boot.clone());
                entries.push(Entry::Started { id, boot });
                break;
            };
            self.set_aside.keep(job)?;
            let outcome = Outcome::Error(reason.to_owned());
            entries.push(Entry::finished(job.id.clone(), outcome));
            set_aside.push(job.id.clone());
        }
        let ended = self.commit(entries)?;
        let (set_aside, expired) = ended
            .into_iter()
            .partition(|job| set_aside.contains(&job.id));
        Ok(Taken {
            job: self.line.painting().cloned(),
            expired,
            set_aside,
        })
    }

    /// Ends the jobs that waited too long and returns them; [`take`](Self::take) does so too. For while one is painted.
    ///
    /// # Errors
    /// The disk.
    pub fn expire(&mut self, now: Moment) -> Result<Vec<Job>, JournalError> {
        self.commit(self.expiries(now))
    }

    fn expiries(&self, now: Moment) -> Vec<Entry> {
        let expired = self.line.waiting().filter(|job| job.has_expired(&now));
        expired
            .map(|job| Entry::finished(job.id.clone(), Outcome::Expired))
            .collect()
    }

    /// Ends the job that is being painted, and returns it; `None` when that is another or none.
    ///
    /// # Errors
    /// The disk.
    pub fn finish(&mut self, id: &JobId, outcome: Outcome) -> Result<Option<Job>, JournalError> {
        if !self.line.is_painting(id) {
            return Ok(None);
        }
        let outcome = match outcome {
            Outcome::Error(reason) => Outcome::Error(reason.chars().take(LONGEST_REASON).collect()),
            outcome => outcome,
        };
        let entry = Entry::finished(id.clone(), outcome);
        Ok(self.commit(vec![entry])?.pop())
    }

    /// Ends a job that waits or is being painted. Whatever the painter still brings of it counts no more.
    ///
    /// # Errors
    /// The disk. Then nothing has changed, and [`cancel_unwritten`](Self::cancel_unwritten) is left.
    pub fn cancel(&mut self, id: &JobId) -> Result<Cancel, JournalError> {
        if self.is_here(id) {
            self.record(&[Entry::finished(id.clone(), Outcome::Cancelled)])?;
        }
        let cancelled = self.end_cancelled(id);
        self.leave_pictures();
        Ok(cancelled)
    }

    /// The same on a disk that takes nothing: it is obeyed now, and written with the next entry or by
    /// [`write_down`](Self::write_down). Should the program end before that, the job is there again.
    pub fn cancel_unwritten(&mut self, id: &JobId) -> Cancel {
        let cancelled = self.end_cancelled(id);
        if let Cancel::Waiting(job) | Cancel::Painting(job) = &cancelled {
            self.unwritten.push(Entry::Finished {
                id: id.clone(),
                outcome: Outcome::Cancelled,
                mark: job.mark(),
            });
        }
        cancelled
    }

    fn is_here(&self, id: &JobId) -> bool {
        self.line.is_painting(id) || self.line.waiting().any(|job| job.id == *id)
    }

    fn end_cancelled(&mut self, id: &JobId) -> Cancel {
        if !self.is_here(id) {
            return Cancel::Unknown;
        }
        let was_painting = self.line.is_painting(id);
        let entry = Entry::finished(id.clone(), Outcome::Cancelled);
        match self.line.apply(entry) {
            Some(job) if was_painting => Cancel::Painting(job),
            Some(job) => Cancel::Waiting(job),
            None => Cancel::Unknown,
        }
    }

    /// Writes what is true and could not be written.
    ///
    /// # Errors
    /// The disk. It may be tried again.
    pub fn write_down(&mut self) -> Result<(), JournalError> {
        if !self.unwritten.is_empty() {
            let line = &self.line;
            self.journal.append(&self.unwritten, || line.as_entries())?;
            self.unwritten.clear();
            self.leave_pictures();
        }
        Ok(())
    }

    /// Removes the pictures of jobs that are over.
    fn leave_pictures(&mut self) {
        // As long as a job's end is not written, the job may come back, and needs them.
        if self.unwritten.is_empty() {
            let jobs = self.line.waiting().chain(self.line.painting());
            self.pictures.leave(jobs);
        }
    }

    /// Where the pictures of jobs are, by their names.
    #[must_use]
    pub fn pictures(&self) -> PathBuf {
        self.pictures.folder().to_owned()
    }

    /// The program was told to stop and ends without the painter, which does not stop: the job that is being painted
    /// waits again, as the first of its kind, and this is counted. Returns whether it is the one.
    ///
    /// # Errors
    /// The disk. Then the attempt counts like one that ended the program.
    pub fn unstopped(&mut self, id: &JobId) -> Result<bool, JournalError> {
        if !self.line.is_painting(id) {
            return Ok(false);
        }
        self.commit(vec![Entry::Unstopped { id: id.clone() }])?;
        Ok(true)
    }

    /// Lets the job that is being painted wait again, as the first of its kind: the program stops, and that is not its
    /// fault. Returns whether it is the one.
    ///
    /// # Errors
    /// The disk. Then the attempt counts.
    pub fn release(&mut self, id: &JobId) -> Result<bool, JournalError> {
        if !self.line.is_painting(id) {
            return Ok(false);
        }
        self.commit(vec![Entry::Released { id: id.clone() }])?;
        Ok(true)
    }

    /// Jobs that wait; the one that is being painted is none of them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.waiting().len()
    }

    /// Whether no job waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The jobs that wait, in the order of painting.
    pub fn waiting(&self) -> impl DoubleEndedIterator<Item = &Job> + ExactSizeIterator {
        self.line.waiting()
    }

    /// The job that is being painted.
    #[must_use]
    pub fn painting(&self) -> Option<&Job> {
        self.line.painting()
    }

    /// What became of a job: of one that is over, as long as it is among the last thousand.
    #[must_use]
    pub fn status(&self, id: &JobId) -> Option<Status> {
        self.line.find(id).map(|(status, _)| status)
    }

    /// How many jobs may wait from now on. Those that wait already stay.
    pub fn set_capacity(&mut self, settings: &QueueSettings) {
        self.capacity = settings.capacity.min(LARGEST_QUEUE);
    }

    /// Lets the next entry find a journal that has grown.
    #[cfg(test)]
    pub(super) fn outgrow(&mut self) {
        self.journal.outgrow();
    }

    /// Makes entries true, first on the disk. Returns the jobs that they took out of the line.
    fn commit(&mut self, entries: Vec<Entry>) -> Result<Vec<Job>, JournalError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.record(&entries)?;
        let ended = entries
            .into_iter()
            .filter_map(|entry| self.line.apply(entry));
        let ended: Vec<Job> = ended.map(|job| *job).collect();
        if !ended.is_empty() {
            self.leave_pictures();
        }
        Ok(ended)
    }

    fn record(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        self.write_down()?;
        let line = &self.line;
        self.journal.append(entries, || line.as_entries())
    }

    /// A name that no job has that is known: the number of the job, for people, and 32 random bits, for the case that
    /// the journal is lost and numbers begin anew.
    fn new_id(&self, random: u64) -> JobId {
        let random = random >> 32;
        (self.line.next()..=u64::MAX)
            .filter_map(|number| format!("{number}-{random:08x}").parse().ok())
            .find(|id| self.line.find(id).is_none())
            .expect("fewer names are known than there are numbers")
    }
}
