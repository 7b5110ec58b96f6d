//! The house's dealings with jobs: taken in, answered, ended. What must last is on the disk before anybody is told.

use super::abilities;
use super::house::{House, log};
use super::size;
use crate::display::Screen;
use crate::jobs::{
    Cancel, HistoryError, Job, JobId, JournalError, NewJob, Order, Outcome, Painted, Pushed,
    Rejection, Reply, Source, Status,
};
use crate::mqtt::{Problem, Ticket};
use easel::{Painting, process_memory};
use std::time::{Instant, SystemTime};

/// Prompts of the group that wait without room, at most: more are not handed over.
pub(super) const MOST_HELD: usize = 4;

/// What became of the job on the painter's desk.
pub(super) struct End {
    pub(super) job: Job,
    how: How,
    /// What else its answer says.
    problem: Option<Problem>,
    warnings: Vec<String>,
}

/// Whether a job is over.
pub(super) enum How {
    /// It is.
    Over(Outcome),
    /// It waits again; the attempt does not count.
    Again,
}

/// What the answer to a cancel says that is obeyed, and not yet on the disk.
fn not_written(error: &JournalError) -> Problem {
    let (code, why) = if error.is_disk_full() {
        ("disk_full", "the disk is full".to_owned())
    } else {
        ("disk_error", error.to_string())
    };
    let text = format!(
        "it is cancelled, but that is not written yet: {why}: should the board end before it is, the job comes back"
    );
    Problem::new(code, text)
}

impl End {
    pub(super) fn new(job: Job, how: How) -> Self {
        Self {
            job,
            how,
            problem: None,
            warnings: Vec::new(),
        }
    }
}

impl House {
    /// Takes a job in, or says why not; then the message is done with.
    pub(super) fn push(&mut self, mut new: NewJob, ticket: Option<Ticket>) {
        let reply = new.reply.clone();
        let id = new.id.clone();
        let source = new.source;
        let asked = new.order.clone();
        new.given = Some(asked.given());
        self.live.complete(&mut new.order);
        self.config.model.complete(&mut new.order);
        if let Some(known) = self.known_by_its_picture(id.as_ref(), &asked) {
            match known {
                Ok(id) => self.answer(Some(id), Status::Done, None, reply),
                Err(taken) => self.reject(id, &taken, reply),
            }
        } else if let Some((code, text)) = self.refusal(&new) {
            self.answer(id, Status::Rejected, Some(Problem::new(code, text)), reply);
        } else if let Err(problem) = self.find_pictures(&mut new) {
            log(&format!("a prompt is rejected: {}", problem.text));
            self.answer(id, Status::Rejected, Some(problem), reply);
        } else {
            let random = (self.random)();
            match self.queue.push(new, random, crate::jobs::Moment::now()) {
                Ok(Pushed::Queued { id, .. }) => {
                    // First: the group's next prompt comes as soon as this one is acknowledged.
                    self.set_room();
                    self.acknowledge(ticket);
                    self.answer(Some(id), Status::Queued, None, reply);
                    if source != Source::Kiosk {
                        self.make_way();
                    }
                    return;
                }
                Ok(Pushed::Known { id, status, error }) => {
                    let problem = error.map(|text| Problem::new("failed", text));
                    self.answer(Some(id), status, problem, reply);
                }
                Err(rejection) => self.reject(id, &rejection, reply),
            }
        }
        self.acknowledge(ticket);
    }

    fn reject(&self, id: Option<JobId>, rejection: &Rejection, reply: Option<Reply>) {
        let problem = Problem::new(rejection.name(), rejection.to_string());
        log(&format!("a prompt is rejected: {rejection}"));
        self.answer(id, Status::Rejected, Some(problem), reply);
    }

    /// What became of a job that the queue does not know any more, when the history has a picture of its name: the same
    /// order is done, another one must have another name. A picture whose record cannot be read is in nobody's way.
    fn known_by_its_picture(
        &self,
        id: Option<&JobId>,
        asked: &Order,
    ) -> Option<Result<JobId, Rejection>> {
        let id = id.filter(|id| self.queue.status(id).is_none())?;
        let painted = self.history.details(id).ok()?;
        let id = id.clone();
        Some(if painted.came_of(asked) {
            Ok(id)
        } else {
            Err(Rejection::IdTaken { id })
        })
    }

    /// Why an order cannot be taken, as a word and a line.
    fn refusal(&self, new: &NewJob) -> Option<(&'static str, String)> {
        if let Some(reason) = self.guard.refusal() {
            return Some(("disk_full", reason));
        }
        self.cannot_paint(&new.order)
    }

    /// Why this model or this machine cannot paint an order.
    pub(super) fn cannot_paint(&self, order: &Order) -> Option<(&'static str, String)> {
        let size = self.size_refusal(order);
        let pictures = || abilities::refusal(self.at.abilities.as_ref()?, order);
        size.map(|text| ("invalid_size", text)).or_else(pictures)
    }

    /// Of a job that is known already nothing is looked up: what it was painted from may be gone.
    fn find_pictures(&self, new: &mut NewJob) -> Result<(), Problem> {
        let is_known = |id| self.queue.status(id).is_some();
        match new.id.as_ref().is_some_and(is_known) {
            true => Ok(()),
            false => self.look_up(new),
        }
    }

    /// Why a picture of this size cannot be painted. As long as no model is loaded, any may be.
    fn size_refusal(&self, order: &Order) -> Option<String> {
        let model = self.at.model.as_ref()?;
        let budget = self.config.model.memory_mib.map(|mib| (mib as u64) << 20);
        let available = process_memory::all().map(|bytes| bytes as u64);
        let available = available.into_iter().chain(budget).min();
        size::size_refusal(model, self.at.needs, order.size?, available)
    }

    pub(super) fn acknowledge(&self, ticket: Option<Ticket>) {
        if let (Some(client), Some(ticket)) = (&self.client, ticket) {
            client.acknowledge(ticket);
        }
    }

    /// The next job to paint; those that may not be painted any more are answered.
    pub(super) fn take(&mut self) -> Option<Job> {
        let taken = match self.queue.take(crate::jobs::Moment::now()) {
            Ok(taken) => taken,
            Err(error) => {
                // Without a record of the attempt a job that ends the program would be tried for ever.
                self.guard.complain("queue", &error.to_string());
                return None;
            }
        };
        for job in taken.expired {
            self.has_expired(job);
        }
        for job in taken.set_aside {
            let text = job.why_set_aside().unwrap_or("it is set aside");
            log(&format!("{}: {text}", job.id));
            let problem = Problem::new("set_aside", text);
            self.answer(Some(job.id), Status::Error, Some(problem), job.reply);
        }
        let job = taken.job?;
        self.answer(
            Some(job.id.clone()),
            Status::Painting,
            None,
            job.reply.clone(),
        );
        Some(job)
    }

    /// Ends the jobs that have waited too long.
    pub(super) fn expire(&mut self) {
        match self.queue.expire(crate::jobs::Moment::now()) {
            Ok(expired) => expired.into_iter().for_each(|job| self.has_expired(job)),
            Err(error) => self.guard.complain("queue", &error.to_string()),
        }
    }

    fn has_expired(&self, job: Job) {
        let problem = Problem::new("expired", "it waited longer than it may");
        self.answer(Some(job.id), Status::Error, Some(problem), job.reply);
    }

    /// Keeps a picture, then says so.
    pub(super) fn painted(&mut self, job: Job, painting: Painting) {
        self.at.last_duration = Some(painting.timings.total);
        for warning in &painting.warnings {
            log(&format!("{}: {warning}", job.id));
        }
        let model = self.model_name();
        let painted = Painted::new(&job, &painting, &model, SystemTime::now());
        let mut kept = self.history.add(&painting.picture, &painted);
        if kept.as_ref().is_err_and(HistoryError::is_disk_full) {
            self.make_room(self.history.bytes() / 2);
            kept = self.history.add(&painting.picture, &painted);
        }
        let mut end = End::new(job, How::Over(Outcome::Done));
        end.warnings.clone_from(&painted.warnings);
        if let Err(error) = kept {
            log(&format!("{}: the picture is not kept: {error}", painted.id));
            let text = format!("the picture is shown, but not kept: {error}");
            end.problem = Some(Problem::new("not_kept", text));
        }
        self.show_new(painting.picture, &painted);
        self.end(end);
    }

    pub(super) fn failed(&mut self, job: Job, code: &str, reason: &str) {
        log(&format!("{}: {reason}", job.id));
        let mut end = End::new(job, How::Over(Outcome::Error(reason.to_owned())));
        end.problem = Some(Problem::new(code, reason));
        self.end(end);
        self.show_error(reason);
    }

    /// Takes the job off the painter's desk.
    pub(super) fn end(&mut self, end: End) {
        self.at.end = Some(end);
        self.settle();
    }

    /// Writes down what became of the last job, and then says so. Until the disk takes it, the next one waits.
    pub(super) fn settle(&mut self) {
        if let Err(error) = self.queue.write_down() {
            self.cannot_write(&error);
        }
        let Some(end) = self.at.end.take() else {
            return;
        };
        let written = match &end.how {
            How::Over(outcome) => self.queue.finish(&end.job.id, outcome.clone()).map(drop),
            How::Again => self.queue.release(&end.job.id).map(drop),
        };
        match (written, end.how) {
            (Ok(()), How::Again) => {}
            (Ok(()), How::Over(outcome)) => {
                let Job { id, reply, .. } = end.job;
                self.answer_with(end.warnings, Some(id), outcome.status(), end.problem, reply);
            }
            (Err(error), how) => {
                self.cannot_write(&error);
                self.at.end = Some(End { how, ..end });
            }
        }
    }

    fn cannot_write(&mut self, error: &JournalError) {
        if error.is_disk_full() {
            self.make_room(self.history.bytes() / 2);
        }
        self.guard.complain("queue", &error.to_string());
    }

    /// Ends a job; `None`: the one that is painted. Returns whether there is one.
    ///
    /// It is in the journal before it is answered, and answered before the painter hears of it: from then on the job is
    /// over, whatever the painter still does and however the program ends.
    pub(super) fn cancel(&mut self, id: Option<JobId>) -> bool {
        let at_work = self.at.work.as_ref().map(|work| work.job.id.clone());
        let Some(id) = id.or(at_work) else {
            return false;
        };
        // One that is over, and only its end is not yet written, is left as it is.
        let is_over = self.at.end.as_ref().is_some_and(|end| end.job.id == id);
        let (cancelled, problem) = match self.queue.cancel(&id) {
            _ if is_over => (Cancel::Unknown, None),
            Ok(cancelled) => (cancelled, None),
            Err(error) => {
                self.guard.complain("queue", &error.to_string());
                let problem = not_written(&error);
                (self.queue.cancel_unwritten(&id), Some(problem))
            }
        };
        match cancelled {
            Cancel::Waiting(job) => {
                self.answer(Some(job.id), Status::Cancelled, problem, job.reply);
            }
            Cancel::Painting(job) => {
                self.answer(Some(job.id), Status::Cancelled, problem, job.reply);
                self.at.leaving = Some(Instant::now());
                self.at.work = None;
                self.painter.cancel();
                self.show_latest();
            }
            Cancel::Unknown => {
                let status = self.queue.status(&id).unwrap_or(Status::Rejected);
                let text = "no such job waits or is painted";
                let problem = Problem::new("unknown_id", text);
                self.answer(Some(id), status, Some(problem), None);
            }
        }
        true
    }

    /// Prompts of the group that came when there was no room, now that there is.
    pub(super) fn take_what_was_held(&mut self) {
        while !self.at.held.is_empty() && self.has_room() {
            let (job, ticket) = self.at.held.remove(0);
            self.push(job, Some(ticket));
        }
    }

    /// Whether a prompt of the group may come.
    pub(super) fn has_room(&self) -> bool {
        // One is painted, one waits: the rest is for boards that have nothing to do.
        let waiting = self
            .queue
            .waiting()
            .filter(|job| job.source != Source::Kiosk)
            .count();
        waiting == 0 && self.at.stopping.is_none() && self.guard.refusal().is_none()
    }

    /// Tells the group whether a prompt may come.
    pub(super) fn set_room(&mut self) {
        let room = self.at.trouble.is_none() && self.at.held.is_empty() && self.has_room();
        if let Some(client) = &self.client
            && self.at.room != Some(room)
        {
            client.set_room(room);
            self.at.room = Some(room);
        }
    }

    pub(super) fn model_name(&self) -> String {
        let dir = self.model_dir.as_deref();
        let name = dir.and_then(|dir| dir.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// An error goes onto the panel for a while.
    pub(super) fn show_error(&mut self, problem: &str) {
        // "what: where: what to do": the last part is the advice.
        let (problem, advice) = problem.rsplit_once(": ").unwrap_or((problem, ""));
        self.show(Screen::Error {
            problem: problem.to_owned(),
            advice: advice.to_owned(),
        });
        self.at.notice_until = Some(Instant::now() + super::house::ERROR_STAYS);
    }
}
