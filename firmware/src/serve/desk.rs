//! The painter's desk: what is on it, what is taken off it, and how it is left when all stops.

use super::house::{House, PAINTER_STOPS, Work, log};
use crate::jobs::Job;
use std::time::Instant;

impl House {
    /// Whether no job can be put on the painter's desk.
    pub(super) fn is_busy(&self) -> bool {
        self.painter_works() || self.at.end.is_some()
    }

    pub(super) fn painter_works(&self) -> bool {
        self.at.work.is_some() || self.at.leaving.is_some()
    }

    /// Whether the history has the picture of this job, and not one that had its name before.
    pub(super) fn has_painted(&self, job: &Job) -> bool {
        let found = self.history.details(&job.id);
        found.is_ok_and(|painted| {
            let given = job.given.clone().unwrap_or_else(|| job.order.given());
            painted.came_of(&job.order.only(&given))
        })
    }

    /// A job may be on the painter's desk when the model is loaded at last.
    pub(super) fn refuse_what_does_not_fit(&mut self) {
        let work = self.at.work.as_ref();
        let refused = work.and_then(|work| self.cannot_paint(&work.job.order));
        let Some((code, text)) = refused else {
            return;
        };
        if let Some(Work { job, .. }) = self.at.work.take() {
            self.at.leaving = Some(Instant::now());
            self.painter.cancel();
            self.failed(job, code, &text);
        }
    }

    /// Everything is to stop: first the painter, who may need some time.
    pub(super) fn stop(&mut self) {
        if self.at.stopping.is_none() {
            self.at.stopping = Some(Instant::now());
            self.painter.cancel();
            self.guard.stopping(self.at.gives_up.is_none());
        }
    }

    /// Whether it has stopped: nothing is on the painter's desk any more, or what is there does not stop.
    pub(super) fn is_done(&self) -> bool {
        self.at
            .stopping
            .is_some_and(|since| !self.painter_works() || since.elapsed() >= PAINTER_STOPS)
    }

    /// Ends with what is still on the painter's desk: it is painted after the next start.
    pub(super) fn leave_the_painter(&mut self) {
        let Some(Work { job, .. }) = self.at.work.take() else {
            return;
        };
        log(&format!(
            "{}: painting it did not stop: it is left, and begun again after the next start",
            job.id
        ));
        if let Err(error) = self.queue.unstopped(&job.id) {
            self.guard.complain("queue", &error.to_string());
        }
    }
}
