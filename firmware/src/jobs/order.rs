//! A picture that somebody asks for, from wherever.

use super::OrderPictures;
use easel::{PaintRequest, SchedulerKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// What to paint. `None` is the board's setting or the model's default; `None` for the seed is a random one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// What to paint.
    pub prompt: String,
    /// What to keep out of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
    /// Width and height, pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// Denoising steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Guidance scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f32>,
    /// All randomness comes from this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Sampling method, by the name that the command line takes.
    #[serde(skip_serializing_if = "Option::is_none", with = "scheduler_name")]
    pub scheduler: Option<SchedulerKind>,
    /// Guidance rescale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_rescale: Option<f32>,
    /// Layers of the text encoders to leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_skip: Option<usize>,
    /// What it is painted from.
    #[serde(skip_serializing_if = "OrderPictures::is_empty")]
    pub pictures: Box<OrderPictures>,
}

impl Order {
    /// Whatever the board and the model choose, but this.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// The request that the engine takes, without its pictures; `seed` where none is given.
    #[must_use]
    pub fn request(&self, seed: u64) -> PaintRequest {
        PaintRequest {
            negative: self.negative.clone(),
            size: self.size,
            steps: self.steps,
            guidance: self.guidance,
            seed: self.seed.unwrap_or(seed),
            scheduler: self.scheduler,
            guidance_rescale: self.guidance_rescale.unwrap_or_default(),
            clip_skip: self.clip_skip.unwrap_or_default(),
            strength: self.pictures.strength,
            ip_scale: self.pictures.ip_scale,
            ..PaintRequest::new(self.prompt.clone())
        }
    }
}

/// A field of an order that the board may put in. Of the others, what an order says is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Negative,
    Size,
    Steps,
    Guidance,
    Seed,
    Scheduler,
}

/// Which fields of an order whoever asked has given. With it, what was asked for can be told from an order that the
/// board has completed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Given(Vec<Field>);

/// Stands for an order, where there is no room for its texts: two different ones have the same by an accident of 2^-64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(Order);

impl Mark {
    /// Whether what is `asked` is what it stands for.
    #[must_use]
    pub fn came_of(&self, asked: &Order) -> bool {
        self.0.came_of(&asked.mark().0, None)
    }
}

impl Order {
    /// The fields that it says.
    #[must_use]
    pub fn given(&self) -> Given {
        let says = [
            (Field::Negative, self.negative.is_some()),
            (Field::Size, self.size.is_some()),
            (Field::Steps, self.steps.is_some()),
            (Field::Guidance, self.guidance.is_some()),
            (Field::Seed, self.seed.is_some()),
            (Field::Scheduler, self.scheduler.is_some()),
        ];
        let given = says.into_iter().filter(|(_, says)| *says);
        Given(given.map(|(field, _)| field).collect())
    }

    /// What is left when only these fields are said: what was asked for.
    #[must_use]
    pub fn only(&self, given: &Given) -> Self {
        let given = |field| given.0.contains(&field);
        Self {
            prompt: self.prompt.clone(),
            negative: self.negative.clone().filter(|_| given(Field::Negative)),
            size: self.size.filter(|_| given(Field::Size)),
            steps: self.steps.filter(|_| given(Field::Steps)),
            guidance: self.guidance.filter(|_| given(Field::Guidance)),
            seed: self.seed.filter(|_| given(Field::Seed)),
            scheduler: self.scheduler.filter(|_| given(Field::Scheduler)),
            ..self.clone()
        }
    }

    /// Whether this order, which the board has completed, came of what is `asked`: all that is asked was asked for here,
    /// too. What is left out now is not compared, so that a short question finds its job. Where it is not known what was
    /// given, as in records of before, all that is asked must be as it is here.
    #[must_use]
    pub fn came_of(&self, asked: &Self, given: Option<&Given>) -> bool {
        let known = given.map_or_else(|| self.clone(), |given| self.only(given));
        known.only(&asked.given()).only_as(asked).plain() == asked.clone().plain()
    }

    /// Without what the board never puts in and `asked` does not say.
    fn only_as(self, asked: &Self) -> Self {
        Self {
            guidance_rescale: asked.guidance_rescale.and(self.guidance_rescale),
            clip_skip: asked.clip_skip.and(self.clip_skip),
            pictures: Box::new(self.pictures.only_as(&asked.pictures)),
            ..self
        }
    }

    /// An empty negative prompt said or not: records of before do not tell.
    fn plain(mut self) -> Self {
        self.negative = self.negative.filter(|text| !text.is_empty());
        self.pictures = Box::new(self.pictures.without_finds());
        self
    }

    /// Its mark.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(Self {
            prompt: digest(&self.prompt),
            negative: self.negative.as_deref().map(digest),
            pictures: Box::new(self.pictures.clone().with_texts(digest)),
            ..self.clone()
        })
    }
}

fn digest(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A scheduler as its name.
pub(crate) mod scheduler_name {
    use super::SchedulerKind;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[allow(clippy::ref_option, reason = "serde calls it with what the field is")]
    pub(crate) fn serialize<S: Serializer>(
        kind: &Option<SchedulerKind>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match kind {
            Some(kind) => serializer.collect_str(kind),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SchedulerKind>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| name.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// Names a job: 1 to 64 letters, digits, `.`, `_` or `-`. Whoever asks for a picture may choose it; the same one twice is one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// Text that cannot name a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("id: give 1 to 64 letters, digits, dots, dashes or underscores")]
pub struct WrongId;

impl FromStr for JobId {
    type Err = WrongId;

    fn from_str(text: &str) -> Result<Self, WrongId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = (1..=64).contains(&text.len()) && text.chars().all(plain);
        // It becomes part of file names.
        if fits && !text.starts_with('.') {
            return Ok(Self(text.to_owned()));
        }
        Err(WrongId)
    }
}

impl TryFrom<String> for JobId {
    type Error = WrongId;

    fn try_from(text: String) -> Result<Self, WrongId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for JobId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A message to this board.
    Mqtt,
    /// A message to its group.
    Fleet,
    /// The playlist. Everything else goes before it.
    Kiosk,
    /// A button on the board.
    Button,
}

/// What became of a job, as its `response` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits, safely.
    Queued,
    /// It is being painted.
    Painting,
    /// The picture is in the history.
    Done,
    /// Somebody stopped it.
    Cancelled,
    /// It was never queued.
    Rejected,
    /// It failed.
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_name() {
        for good in ["a", "night-7", "2026.11.25_1"] {
            assert_eq!(
                good.parse::<JobId>().expect("it is right").to_string(),
                good
            );
        }
        for wrong in ["", ".", "..", ".a", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_told_from_what_the_board_put_in() {
        let asked = Order {
            size: Some((64, 64)),
            negative: Some(String::new()),
            ..Order::new("a cat")
        };
        let completed = Order {
            steps: Some(7),
            seed: Some(5),
            ..asked.clone()
        };
        let given = asked.given();
        assert_eq!(
            serde_json::to_string(&given).expect("plain data"),
            r#"["negative","size"]"#
        );
        let mark = asked.mark();
        // What is left out is not compared.
        for same in [asked.clone(), Order::new("a cat")] {
            assert!(completed.came_of(&same, Some(&given)) && mark.came_of(&same));
        }
        for other in [
            Order {
                steps: Some(7),
                ..asked.clone()
            },
            Order::new("a dog"),
            Order {
                negative: Some("a dog".to_owned()),
                ..asked.clone()
            },
            Order {
                size: Some((64, 128)),
                ..asked.clone()
            },
        ] {
            assert!(!completed.came_of(&other, Some(&given)), "{other:?}");
            assert!(!mark.came_of(&other), "{other:?}");
        }
        // A record of before does not say whether the steps were given.
        for (steps, same) in [(7, true), (8, false)] {
            let with_steps = Order {
                steps: Some(steps),
                ..asked.clone()
            };
            assert_eq!(completed.came_of(&with_steps, None), same);
        }
        // Marks are kept: they stay what they are.
        let mark = serde_json::to_string(&Order::new("a cat").mark()).expect("plain data");
        assert_eq!(mark, r#"{"prompt":"51e4674156077982"}"#);
    }

    #[test]
    fn an_order_comes_back_from_json() {
        let order = Order {
            size: Some((128, 64)),
            scheduler: Some(SchedulerKind::Ddim),
            ..Order::new("a \"cat\"\nat night")
        };
        let json = serde_json::to_string(&order).expect("it is plain data");
        assert!(
            json.contains("\"scheduler\":\"ddim\"") && !json.contains("seed"),
            "{json}"
        );
        let back: Order = serde_json::from_str(&json).expect("it was written here");
        assert_eq!(back, order);
        let error = serde_json::from_str::<Order>(r#"{"prompt":"x","scheduler":"no"}"#);
        assert!(error.is_err_and(|error| error.to_string().contains("ddim")));
    }
}
