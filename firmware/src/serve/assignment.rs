//! What the painter is given: a request, and where its pictures are.

use crate::control_pictures::{canny, qr};
use crate::jobs::{
    FileName, Hint, LARGEST_HISTORY, Order, OrderControl, OrderPictures, PictureName,
};
use crate::pictures_in::fitted;
use easel::files::read_file;
use easel::{Control, ModelDefaults, PaintRequest, Picture, Pipeline};
use std::path::PathBuf;

/// A picture to paint.
#[derive(Debug)]
pub(crate) struct Assignment {
    request: PaintRequest,
    pictures: Box<OrderPictures>,
    /// Where they are.
    folder: PathBuf,
}

impl From<PaintRequest> for Assignment {
    fn from(request: PaintRequest) -> Self {
        Self {
            request,
            pictures: Box::default(),
            folder: PathBuf::new(),
        }
    }
}

impl Assignment {
    /// What `order` says; its pictures are in `folder`.
    pub(crate) fn new(order: &Order, folder: PathBuf) -> Self {
        Self {
            request: order.request(order.seed.unwrap_or_default()),
            pictures: order.pictures.clone(),
            folder,
        }
    }

    /// Where no size is asked for: the one that the model was trained on whose shape is nearest to the panel's. The display enlarges it.
    pub(crate) fn suit(&mut self, model: &ModelDefaults, panel: (u32, u32)) {
        // A picture to begin with has a shape of its own.
        if self.request.size.is_none() && self.pictures.image.is_none() {
            self.request.size = model.trained_size_like(panel);
        }
    }

    /// The request with its pictures, none of which stays larger than it is needed: the model takes the memory.
    ///
    /// # Errors
    /// A picture that cannot be read, and what to do.
    pub(crate) fn read(&self, pipeline: &Pipeline) -> Result<PaintRequest, String> {
        let mut request = self.request.clone();
        let asked = &self.pictures;
        let read = |key: &str, name: &Option<PictureName>| {
            let name = name.as_ref();
            name.map(|name| self.picture(key, name)).transpose()
        };
        request.image = read("image", &asked.image)?;
        pipeline.fit_pictures(&mut request);
        request.mask = read("mask", &asked.mask)?;
        pipeline.fit_pictures(&mut request);
        for control in &asked.controls {
            let hint = self.hint(control, pipeline, pipeline.size(&request))?;
            request.controls.push(hint);
            pipeline.fit_pictures(&mut request);
        }
        request.ip_image = read("ip_image", &asked.ip_image)?;
        Ok(request)
    }

    fn hint(
        &self,
        control: &OrderControl,
        pipeline: &Pipeline,
        size: (u32, u32),
    ) -> Result<Control, String> {
        let read = |name| self.picture("control", name);
        let picture = match &control.hint {
            Hint::Plain(name) => read(name)?,
            Hint::Canny(name) => canny(&fitted(&read(name)?, pipeline, size)),
            Hint::Qr(text) => qr(text, size).map_err(|problem| format!("control: {problem}"))?,
        };
        let usual = Control::new(picture);
        Ok(Control {
            scale: control.scale.unwrap_or(usual.scale),
            start: control.start.unwrap_or(usual.start),
            end: control.end.unwrap_or(usual.end),
            ..usual
        })
    }

    fn picture(&self, key: &str, name: &PictureName) -> Result<Picture, String> {
        let again = "send the order again under another id";
        let file: &FileName = name
            .file
            .as_ref()
            .ok_or_else(|| format!("{key}: the picture was not kept: {again}"))?;
        let bytes =
            read_file(&self.folder.join(file.as_ref()), LARGEST_HISTORY).map_err(|error| {
                format!("{key}: the picture that was kept cannot be read: {error}: {again}")
            })?;
        if !file.is_of(&bytes) {
            return Err(format!(
                "{key}: the picture that was kept is damaged: {again}, and check the disk"
            ));
        }
        Picture::decode(&bytes).map_err(|error| format!("{key}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::NewPicture;

    #[test]
    fn a_picture_has_the_trained_shape_that_is_nearest_to_the_panels() {
        let mut model = ModelDefaults {
            size: (256, 256),
            steps: 4,
            guidance: 1.0,
            scheduler: None,
            vae_factor: 8,
            latent_channels: 4,
            trained_sizes: vec![(320, 192), (256, 256), (192, 320)],
        };
        let size = |model: &ModelDefaults, asked: Option<(u32, u32)>, panel| {
            let request = PaintRequest {
                size: asked,
                ..PaintRequest::new("a cat")
            };
            let mut assignment = Assignment::from(request);
            assignment.suit(model, panel);
            assignment.request.size
        };
        assert_eq!(size(&model, None, (800, 480)), Some((320, 192)));
        assert_eq!(size(&model, None, (480, 800)), Some((192, 320)));
        assert_eq!(size(&model, None, (480, 480)), Some((256, 256)));
        assert_eq!(size(&model, Some((64, 64)), (800, 480)), Some((64, 64)));
        // One that does not say what it was trained on is left alone.
        model.trained_sizes.clear();
        assert_eq!(size(&model, None, (800, 480)), None);
    }

    #[test]
    fn a_file_that_is_missing_or_damaged_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let picture = Picture {
            width: 2,
            height: 1,
            rgb: vec![1, 2, 3, 4, 5, 6],
        };
        let file = NewPicture::new(picture.png(None).expect("it is whole"));
        let name = PictureName::of(&file);
        let path = folder.path().join(file.name.as_ref());
        let assignment = Assignment::new(&Order::new("a cat"), folder.path().to_owned());
        let read = || assignment.picture("image", &name);
        let missing = read().expect_err("it is not there");
        assert!(missing.starts_with("image: the picture that was kept cannot be read: "));
        std::fs::write(&path, &file.bytes[1..]).expect("a file");
        let damaged = read().expect_err("it is another");
        assert!(damaged.contains("is damaged"), "{damaged}");
        std::fs::write(&path, &file.bytes).expect("a file");
        assert_eq!(read(), Ok(picture));
        let never = assignment.picture("mask", &PictureName::in_history("last"));
        assert!(never.is_err_and(|error| error.contains("was not kept")));
    }
}
