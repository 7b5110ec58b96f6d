//! The pictures of an order that are in the history.

use super::house::{House, log};
use crate::jobs::{
    JobId, LARGEST_HISTORY, NewJob, NewPicture, Order, OrderPictures, PictureName, Source, Status,
};
use crate::mqtt::Problem;
use easel::files::read_file;

/// The name of the picture that was painted last.
pub(super) const LAST: &str = "last";

impl House {
    /// Looks up what an order names in the history. The job gets a copy of its own: the history may let go of the picture before the job's
    /// turn comes.
    pub(super) fn look_up(&self, new: &mut NewJob) -> Result<(), Problem> {
        let mut found = Vec::new();
        for name in new.order.pictures.names_mut() {
            if let (Some(asked), None) = (&name.history, &name.file) {
                let picture = self.in_history(asked)?;
                name.file = Some(picture.name.clone());
                found.push(picture);
            }
        }
        new.pictures.extend(found);
        Ok(())
    }

    /// Paints the picture that is shown anew, with its prompt and settings and another seed. Whether there is one; whatever else is wrong
    /// with it is answered.
    pub(super) fn vary(&mut self, source: Source) -> bool {
        let order = match self.variation() {
            Ok(order) => order,
            Err(problem) => {
                log(&format!("a command is rejected: {}", problem.text));
                self.answer(None, Status::Rejected, Some(problem), None);
                return false;
            }
        };
        if source == Source::Mqtt {
            self.push(NewJob::new(order, source), None);
        } else {
            self.paint_for_the_kiosk(order, source);
        }
        true
    }

    fn variation(&self) -> Result<Order, Problem> {
        let shown = self.at.shown.as_ref().and_then(|id| self.history.get(id));
        let kept = shown.or_else(|| self.history.latest());
        let none = || Problem::new("no_picture", "there is no picture to vary: paint one first");
        let id = kept.ok_or_else(none)?.id.clone();
        let painted = self.history.details(&id).map_err(|error| {
            let text = format!("the picture that is shown cannot be varied: {error}");
            Problem::new("no_picture", text)
        })?;
        Ok(Order {
            seed: None,
            pictures: Box::new(OrderPictures {
                image: Some(PictureName::in_history(id.as_ref())),
                strength: Some(self.config.model.vary_strength),
                ..OrderPictures::default()
            }),
            ..painted.order()
        })
    }

    fn in_history(&self, asked: &str) -> Result<NewPicture, Problem> {
        let kept = match asked {
            LAST => self.history.latest(),
            id => id
                .parse::<JobId>()
                .ok()
                .and_then(|id| self.history.get(&id)),
        };
        let Some(kept) = kept else {
            let text = match asked {
                LAST => "the history has no picture yet".to_owned(),
                id => {
                    format!("the history has no picture of {id}: it may have made room for others")
                }
            };
            return Err(Problem::new("unknown_id", text));
        };
        let bytes = read_file(&self.history.path(kept), LARGEST_HISTORY).map_err(|error| {
            let text = format!("the picture of {} cannot be read: {error}", kept.id);
            Problem::new("unknown_id", text)
        })?;
        Ok(NewPicture::new(bytes))
    }
}
