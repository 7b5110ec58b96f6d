//! A scene in the words of the model's training, and what has to be said of it.

use super::matching::Word;
use super::scene::{Scene, Thing};
use super::{Lexicon, Meaning, Reading};
use crate::prompt;

/// Words that are named in warnings.
const MOST_NAMED: usize = 5;

impl Lexicon {
    /// What the model is to have for a prompt; `seed` chooses the background where the prompt has none. `None`: there is no thing in it
    /// that the model knows.
    pub(crate) fn reading(&self, prompt: &str, seed: u64) -> Option<Reading> {
        let (text, foreign) = prompt::leave_out(prompt);
        let runs = prompt::parse(&text);
        let is_weighted = runs.iter().any(|(_, weight)| *weight != 1.0);
        let text: String = runs.into_iter().map(|(text, _)| text).collect();
        let words = self.words_of(&text);
        let mut scene = Scene::of(&words);
        if scene.things.is_empty() {
            return None;
        }
        let mut warnings = self.of_words(&words);
        self.limit(&mut scene, &mut warnings);
        let is_own = warnings.is_empty()
            && words.iter().all(|word| word.is_trained)
            && !scene.is_reordered
            && !scene.things.iter().any(is_uncounted);
        let ground = scene.ground;
        scene.ground = ground.or_else(|| self.usual_background(&scene, seed));
        let text = match (is_own, ground, scene.style.or(scene.place)) {
            (true, Some(_), _) => prompt.to_owned(),
            (true, None, None) => {
                let typed =
                    prompt.trim_end_matches(|c: char| c.is_whitespace() || ",.;:!?".contains(c));
                match self.background(&scene) {
                    Some(phrase) => format!("{typed} {phrase}"),
                    None => prompt.to_owned(),
                }
            }
            _ => {
                warnings.extend(foreign);
                if is_weighted {
                    warnings.push("weights are not kept, as it was put in other words".into());
                }
                self.word(&scene)
            }
        };
        Some(Reading { text, warnings })
    }

    /// What was left out or read as something else.
    fn of_words(&self, words: &[Word]) -> Vec<String> {
        let mut said: Vec<String> = Vec::new();
        let mut more = 0;
        for word in words {
            let typed = &word.typed;
            let sentence = match word.meaning {
                Meaning::Other(Some(near)) => {
                    format!(
                        "\"{typed}\" is not known and was left out; the nearest known is \"{}\"",
                        self.things[near].0
                    )
                }
                Meaning::Other(None) => format!("\"{typed}\" is not known and was left out"),
                Meaning::Thing(index) if word.is_near => {
                    format!("\"{typed}\" was read as \"{}\"", self.things[index].0)
                }
                Meaning::Colour(index) if word.is_near => {
                    format!("\"{typed}\" was read as \"{}\"", self.colours[index].name)
                }
                _ => continue,
            };
            match said.len() {
                _ if said.contains(&sentence) => {}
                MOST_NAMED.. => more += 1,
                _ => said.push(sentence),
            }
        }
        if more > 0 {
            said.push(format!("{more} more words were left out or read as others"));
        }
        said
    }

    /// Takes away what the model cannot paint.
    fn limit(&self, scene: &mut Scene, warnings: &mut Vec<String>) {
        if scene.things.len() > self.kinds {
            let left_out = scene.things.split_off(self.kinds);
            let names: Vec<&str> = left_out
                .iter()
                .take(MOST_NAMED)
                .map(|thing| self.things[thing.index].0.as_str())
                .collect();
            warnings.push(format!(
                "this model paints {} kinds of things in a picture: left out: {}",
                self.kinds,
                names.join(", ")
            ));
        }
        let beside = scene.things.len() > 1;
        if let Some(word) = scene.apart.first().filter(|_| beside) {
            warnings.push(format!(
                "\"{word}\": this model paints things side by side alone"
            ));
        }
        let most = if beside {
            self.together.min(self.counts.len())
        } else {
            self.counts.len()
        };
        for thing in &mut scene.things {
            let name = &self.things[thing.index].0;
            let asked = thing.count.map_or(u64::from(thing.is_many) + 1, u64::from);
            if asked > most as u64 {
                let where_ = if beside { " beside another thing" } else { "" };
                warnings.push(format!(
                    "{name}: this model paints {most} of a kind{where_} at most"
                ));
                (thing.count, thing.is_many) = (u32::try_from(most).ok(), false);
            }
            if let Some(colour) = thing.tint.filter(|colour| !self.colours[*colour].is_tint) {
                let colour = &self.colours[colour].name;
                warnings.push(format!(
                    "\"{colour}\" was left out: this model does not paint things in that colour"
                ));
                thing.tint = None;
            }
        }
        if let Some(colour) = scene
            .ground
            .filter(|colour| self.colours[*colour].background.is_none())
        {
            let colour = &self.colours[colour].name;
            warnings.push(format!(
                "\"{colour}\" was left out: this model does not paint backgrounds in that colour"
            ));
            scene.ground = None;
        }
    }

    /// A background for a prompt that has none: never the colour of a thing in it, which could not be seen.
    fn usual_background(&self, scene: &Scene, seed: u64) -> Option<usize> {
        let is_seen = |colour: &usize| scene.things.iter().all(|thing| thing.tint != Some(*colour));
        let seen: Vec<usize> = self
            .usual_backgrounds
            .iter()
            .copied()
            .filter(is_seen)
            .collect();
        let at = mixed(seed).checked_rem(seen.len() as u64)?;
        seen.get(at as usize).copied()
    }

    fn background(&self, scene: &Scene) -> Option<&str> {
        self.colours.get(scene.ground?)?.background.as_deref()
    }

    /// The scene as the training's captions have it.
    pub(super) fn word(&self, scene: &Scene) -> String {
        let things: Vec<String> = scene.things.iter().map(|thing| self.noun(thing)).collect();
        let place = scene.place.map(|place| self.places[place].as_str());
        let style = scene.style.map(|style| self.styles[style].as_str());
        let things = things.join(" and ");
        let all = [Some(things.as_str()), place, self.background(scene), style];
        let all: Vec<&str> = all
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        all.join(" ")
    }

    fn noun(&self, thing: &Thing) -> String {
        let (one, many) = &self.things[thing.index];
        let count = thing.count.unwrap_or(u32::from(thing.is_many) + 1) as usize;
        let name = if count > 1 { many } else { one };
        let size = thing.size.map(|size| self.sizes[size].as_str());
        let tint = thing.tint.map(|tint| self.colours[tint].name.as_str());
        let words: Vec<&str> = size
            .into_iter()
            .chain(tint)
            .chain([name.as_str()])
            .collect();
        let words = words.join(" ");
        match self.counts.get(count.saturating_sub(1)) {
            Some(number) if count > 1 => format!("{number} {words}"),
            _ if words.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {words}"),
            _ => format!("a {words}"),
        }
    }
}

/// More than one, and it is not said how many.
fn is_uncounted(thing: &Thing) -> bool {
    thing.is_many && thing.count.is_none()
}

/// Seeds that follow each other as numbers that do not (Steele et al. 2014, "Fast splittable pseudorandom number generators",
/// figure 16, with Stafford's constants).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
