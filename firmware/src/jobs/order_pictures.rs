//! The pictures that an order paints from: named in the order and the journal, kept as files beside it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Pictures to begin with, to follow and to paint like, and how much each counts. Whatever is not said is the model's choice; the board
/// puts nothing in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderPictures {
    /// The picture to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PictureName>,
    /// How much of it is given up, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strength: Option<f32>,
    /// What of it is painted anew: white.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<PictureName>,
    /// What ControlNets follow, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<OrderControl>,
    /// The picture to paint like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_image: Option<PictureName>,
    /// How much like it, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_scale: Option<f32>,
}

/// What a ControlNet follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderControl {
    /// What it is made of.
    pub hint: Hint,
    /// How much it counts, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// The share of the steps before it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<f32>,
    /// The share of the steps after which it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f32>,
}

/// A picture as a ControlNet was trained with them, and what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hint {
    /// A picture as it is.
    Plain(PictureName),
    /// The edges of a picture.
    Canny(PictureName),
    /// A code that says this.
    Qr(String),
}

/// A picture as it was asked for, and where it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PictureName {
    /// The name in the history that it was asked for by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
    /// The file beside the journal; `None`: it has not been looked up yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileName>,
}

impl PictureName {
    /// One that came as bytes.
    #[must_use]
    pub fn of(picture: &NewPicture) -> Self {
        Self {
            history: None,
            file: Some(picture.name.clone()),
        }
    }

    /// One of the history, to be looked up.
    #[must_use]
    pub fn in_history(name: &str) -> Self {
        Self {
            history: Some(name.to_owned()),
            file: None,
        }
    }
}

impl OrderPictures {
    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &PictureName> {
        let hints = self.controls.iter().filter_map(|control| {
            let (Hint::Plain(name) | Hint::Canny(name)) = &control.hint else {
                return None;
            };
            Some(name)
        });
        let others = [&self.image, &self.mask, &self.ip_image];
        others.into_iter().flatten().chain(hints)
    }

    /// The same, to be looked up.
    pub fn names_mut(&mut self) -> impl Iterator<Item = &mut PictureName> {
        let hints = self.controls.iter_mut().filter_map(|control| {
            let (Hint::Plain(name) | Hint::Canny(name)) = &mut control.hint else {
                return None;
            };
            Some(name)
        });
        let others = [&mut self.image, &mut self.mask, &mut self.ip_image];
        others.into_iter().flatten().chain(hints)
    }

    /// The files that are needed to paint it.
    pub fn files(&self) -> impl Iterator<Item = &FileName> {
        self.names().filter_map(|name| name.file.as_ref())
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is left of it of what `asked` says, too.
    pub(super) fn only_as(&self, asked: &Self) -> Self {
        let like = |mine: &Option<PictureName>, asked: &Option<PictureName>| {
            mine.clone().filter(|_| asked.is_some())
        };
        Self {
            image: like(&self.image, &asked.image),
            strength: self.strength.filter(|_| asked.strength.is_some()),
            mask: like(&self.mask, &asked.mask),
            controls: match asked.controls.is_empty() {
                true => Vec::new(),
                false => self.controls.clone(),
            },
            ip_image: like(&self.ip_image, &asked.ip_image),
            ip_scale: self.ip_scale.filter(|_| asked.ip_scale.is_some()),
        }
    }

    /// With other texts in its codes.
    pub(super) fn with_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        for control in &mut self.controls {
            if let Hint::Qr(text) = &mut control.hint {
                *text = change(text);
            }
        }
        self
    }

    /// As it was asked for: the last picture of the history is another one tomorrow, and the order the same.
    pub(super) fn without_finds(mut self) -> Self {
        for name in self.names_mut() {
            if name.history.is_some() {
                name.file = None;
            }
        }
        self
    }
}

/// What a picture's bytes are kept under: their SHA-256 and the format. Two jobs with the same picture share one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// Text that names no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("picture: is no SHA-256 with png, jpg or webp behind it")]
pub struct WrongFileName;

const ENDINGS: [&str; 3] = ["png", "jpg", "webp"];

impl TryFrom<String> for FileName {
    type Error = WrongFileName;

    fn try_from(text: String) -> Result<Self, WrongFileName> {
        // It becomes a part of a path: nothing else may.
        let (hash, ending) = text.split_once('.').ok_or(WrongFileName)?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match hash.len() == 64 && hash.bytes().all(digit) && ENDINGS.contains(&ending) {
            true => Ok(Self(text)),
            false => Err(WrongFileName),
        }
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl AsRef<str> for FileName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FileName {
    /// Whether these are the bytes that it was made for.
    #[must_use]
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        self.0.starts_with(&hash(bytes))
    }
}

fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A picture's file as it came, to be kept with a job.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPicture {
    /// What it is kept under.
    pub name: FileName,
    /// PNG, JPEG or WebP.
    pub bytes: Arc<[u8]>,
}

impl NewPicture {
    /// Names it. What it is, its first bytes say.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let ending = match bytes.as_slice() {
            [0xff, 0xd8, ..] => "jpg",
            [b'R', b'I', b'F', b'F', ..] => "webp",
            _ => "png",
        };
        Self {
            name: FileName(format!("{}.{ending}", hash(&bytes))),
            bytes: bytes.into(),
        }
    }
}

impl fmt::Debug for NewPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name.0, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_hash_and_nothing_else() {
        let picture = NewPicture::new(b"RIFF....WEBP".to_vec());
        let name = String::from(picture.name.clone());
        assert!(name.ends_with(".webp") && name.len() == 69, "{name}");
        assert!(picture.name.is_of(b"RIFF....WEBP") && !picture.name.is_of(b"another"));
        assert_eq!(FileName::try_from(name.clone()), Ok(picture.name));
        for wrong in [
            String::new(),
            name.to_uppercase(),
            name.replace("webp", "gif"),
            format!("../{name}"),
            name[1..].to_owned(),
            format!("{name}/x"),
        ] {
            assert!(FileName::try_from(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_picture_is_the_same_order_tomorrow() {
        let pictures = |name: PictureName| OrderPictures {
            image: Some(name),
            strength: Some(0.5),
            ..OrderPictures::default()
        };
        let asked = pictures(PictureName::in_history("last"));
        let mut kept = asked.clone();
        let file = NewPicture::new(vec![1]).name;
        kept.names_mut()
            .for_each(|name| name.file = Some(file.clone()));
        assert_ne!(kept, asked);
        assert_eq!(kept.clone().without_finds(), asked);
        assert_eq!(
            kept.only_as(&OrderPictures::default()),
            OrderPictures::default()
        );
        let json = serde_json::to_string(&kept).expect("plain data");
        assert_eq!(
            serde_json::from_str::<OrderPictures>(&json).expect("it was written here"),
            kept
        );
    }
}
