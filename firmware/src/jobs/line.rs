//! The queue's state, without a disk: what waits, what is being painted, what is over.
//!
//! It changes by [`Entry`]s only, whether they happen now or are read from a journal, so that what is read is what was.

use super::{Entry, Job, JobId, LARGEST_QUEUE, Mark, Order, Outcome, Source, Status};
use std::collections::VecDeque;

/// Jobs that are over and still known, so that the same name is not painted twice.
pub(super) const FINISHED_KNOWN: usize = 1024;

/// As many of people and as many of the playlist as a configuration may ask for, and the one that was being painted.
const LONGEST_LINE: usize = 2 * LARGEST_QUEUE + 1;

/// What waits, what is being painted, what is over.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line {
    /// In the order of painting.
    waiting: heapless::Vec<Box<Job>, LONGEST_LINE>,
    painting: Option<Box<Job>>,
    /// Of the one that is being painted.
    attempt: Attempt,
    /// The oldest first.
    finished: VecDeque<Finished>,
    next: u64,
    /// Jobs for which there was no room.
    pub(super) dropped: usize,
}

/// A job that is over.
#[derive(Debug, Clone, PartialEq)]
struct Finished {
    id: JobId,
    outcome: Outcome,
    /// What it was, if that is known.
    mark: Option<Mark>,
}

/// How painting was begun.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attempt {
    /// In which start of the machine.
    boot: Option<String>,
}

impl Attempt {
    /// What the end of the program was for the job, now that the machine is in `boot`.
    fn interrupted(&self, id: JobId, boot: Option<&str>) -> Entry {
        // Without a word of the system it is a crash: a job that crashes must not be tried for ever.
        let another = self
            .boot
            .as_deref()
            .zip(boot)
            .map(|(then, now)| then != now);
        let power = another.unwrap_or(false);
        Entry::Interrupted { id, power }
    }
}

impl Line {
    pub(super) fn waiting(&self) -> impl DoubleEndedIterator<Item = &Job> + ExactSizeIterator {
        self.waiting.iter().map(Box::as_ref)
    }

    pub(super) fn painting(&self) -> Option<&Job> {
        self.painting.as_deref()
    }

    /// The number that the next job gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// What became of a job: where it is, or how it ended.
    pub(super) fn find(&self, id: &JobId) -> Option<(Status, Option<&str>)> {
        if self.is_painting(id) {
            return Some((Status::Painting, None));
        }
        if self.waiting().any(|job| job.id == *id) {
            return Some((Status::Queued, None));
        }
        let outcome = &self.finished(id)?.outcome;
        Some((outcome.status(), outcome.error()))
    }

    fn finished(&self, id: &JobId) -> Option<&Finished> {
        self.finished.iter().rev().find(|over| over.id == *id)
    }

    /// Whether the job of this name that is known is what is asked for, as far as that can be told.
    pub(super) fn came_of(&self, id: &JobId, asked: &Order) -> bool {
        let mut here = self.painting().into_iter().chain(self.waiting());
        if let Some(job) = here.find(|job| job.id == *id) {
            return job.came_of(asked);
        }
        let mark = self.finished(id).and_then(|over| over.mark.as_ref());
        mark.is_none_or(|mark| mark.came_of(asked))
    }

    /// Whether it is the one that is being painted.
    pub(super) fn is_painting(&self, id: &JobId) -> bool {
        self.painting.as_ref().is_some_and(|job| job.id == *id)
    }

    /// How many of those that wait go before a new job of `source`.
    pub(super) fn position(&self, source: Source) -> usize {
        let key = (source == Source::Kiosk, self.next);
        self.waiting.partition_point(|job| precedence(job) < key)
    }

    /// Makes an entry true. Returns the job that it took out of the line. Of a job that is not here it changes nothing,
    /// except that it is known as finished.
    pub(super) fn apply(&mut self, entry: Entry) -> Option<Box<Job>> {
        match entry {
            Entry::Next(next) => self.next = self.next.max(next),
            Entry::Accepted(job) => {
                self.next = self.next.max(job.sequence.saturating_add(1));
                let is_here =
                    self.is_painting(&job.id) || self.waiting().any(|other| other.id == job.id);
                if !is_here {
                    self.insert(job);
                }
            }
            Entry::Started { id, boot } => {
                // Only an old journal has two of them on end: the program ended in the middle of the first.
                self.put_back(false);
                if let Some(mut job) = self.remove(&id) {
                    job.attempts = job.attempts.saturating_add(1);
                    self.painting = Some(job);
                    self.attempt = Attempt { boot };
                }
            }
            Entry::Excused { .. } => {}
            Entry::Unstopped { id } => {
                if self.is_painting(&id)
                    && let Some(mut job) = self.leave()
                {
                    job.unstopped = job.unstopped.saturating_add(1);
                    self.insert(job);
                }
            }
            Entry::Released { id } => {
                if self.is_painting(&id)
                    && let Some(mut job) = self.leave()
                {
                    job.attempts = job.attempts.saturating_sub(1);
                    self.insert(job);
                }
            }
            Entry::Interrupted { id, power } => {
                if self.is_painting(&id) {
                    self.put_back(power);
                }
            }
            Entry::Finished { id, outcome, mark } => {
                let job = if self.is_painting(&id) {
                    self.leave()
                } else {
                    self.remove(&id)
                };
                if self.finished.len() >= FINISHED_KNOWN {
                    self.finished.pop_front();
                }
                let mark = mark.or_else(|| job.as_ref()?.mark());
                self.finished.push_back(Finished { id, outcome, mark });
                return job;
            }
        }
        None
    }

    /// What must be said of the job that was being painted when the program ended, now that it starts in `boot`.
    pub(super) fn interrupted(&self, boot: Option<&str>) -> Option<Entry> {
        let id = self.painting()?.id.clone();
        Some(self.attempt.interrupted(id, boot))
    }

    /// Lets the job that was being painted wait again, its attempt counted: the program ended in the middle of it, and with
    /// `power` the whole machine.
    pub(super) fn put_back(&mut self, power: bool) {
        if let Some(mut job) = self.leave() {
            job.power_cuts = job.power_cuts.saturating_add(power.into());
            self.insert(job);
        }
    }

    /// Nothing is being painted any more.
    fn leave(&mut self) -> Option<Box<Job>> {
        self.attempt = Attempt::default();
        self.painting.take()
    }

    /// Calls `change` with each job that waits.
    pub(super) fn for_each_waiting(&mut self, change: impl FnMut(&mut Job)) {
        self.waiting.iter_mut().map(Box::as_mut).for_each(change);
    }

    /// Entries that make an empty line into this one.
    pub(super) fn as_entries(&self) -> Vec<Entry> {
        let finished = self.finished.iter().map(|over| Entry::Finished {
            id: over.id.clone(),
            outcome: over.outcome.clone(),
            mark: over.mark.clone(),
        });
        let accepted = |job: &Job| Entry::Accepted(Box::new(job.clone()));
        let mut entries = vec![Entry::Next(self.next)];
        entries.extend(finished);
        entries.extend(self.waiting().map(accepted));
        if let Some(job) = &self.painting {
            let mut before = job.clone();
            before.attempts = before.attempts.saturating_sub(1);
            entries.push(Entry::Accepted(before));
            let (id, boot) = (job.id.clone(), self.attempt.boot.clone());
            entries.push(Entry::Started { id, boot });
        }
        entries
    }

    fn insert(&mut self, job: Box<Job>) {
        let key = precedence(&job);
        let at = self
            .waiting
            .partition_point(|other| precedence(other) < key);
        if self.waiting.insert(at, job).is_err() {
            self.dropped += 1;
        }
    }

    fn remove(&mut self, id: &JobId) -> Option<Box<Job>> {
        let at = self.waiting.iter().position(|job| job.id == *id)?;
        Some(self.waiting.remove(at))
    }
}

/// The playlist after everybody else, then who came first.
fn precedence(job: &Job) -> (bool, u64) {
    (job.source == Source::Kiosk, job.sequence)
}
