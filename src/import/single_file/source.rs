//! The tensors of a file under a prefix, which are taken one after the other under new names.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::error::{ImportError, quoted};
use super::super::safetensors::{SafeTensors, Tensor};
use super::super::weights::{Weight, Weights};

/// What is left of a network in a file.
pub(super) struct Source {
    /// Names behind the prefix.
    left: BTreeMap<String, Tensor>,
    /// What was taken, by its new names.
    pub(super) weights: Weights,
}

impl Source {
    /// All tensors whose names begin so.
    pub(super) fn under(file: &SafeTensors, prefix: &str) -> Self {
        let named = file.names().filter_map(|name| {
            let own = name.strip_prefix(prefix)?;
            Some((own.to_owned(), file.get(name)?))
        });
        Self {
            left: named.collect(),
            weights: Weights::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether there is anything below a name: `attn` of `attn.q.weight`.
    pub(super) fn has_any(&self, at: &str) -> bool {
        let below = format!("{at}.");
        let mut from = self.left.range(below.clone()..);
        from.next()
            .is_some_and(|(name, _)| name.starts_with(&below))
    }

    /// How many numbered parts there are below a name, from 0 on.
    pub(super) fn count(&self, at: &str) -> usize {
        self.numbers(at, 0).len()
    }

    /// The numbers of the parts below a name, from `first` on.
    pub(super) fn numbers(&self, at: &str, first: usize) -> Range<usize> {
        let there = (first..).take_while(|number| self.has_any(&format!("{at}.{number}")));
        first..first + there.count()
    }

    /// Forgets what is no weight of the network.
    pub(super) fn drop(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Forgets all below a name.
    pub(super) fn drop_under(&mut self, at: &str) {
        let below = format!("{at}.");
        self.left.retain(|name, _| !name.starts_with(&below));
    }

    /// Takes a tensor out, to do with it what is needed.
    pub(super) fn remove(&mut self, name: &str) -> Option<Weight> {
        self.left.remove(name).map(Weight::new)
    }

    /// Takes all below a name under another one. What follows the name is kept.
    pub(super) fn take(&mut self, at: &str, new: &str) -> Result<(), ImportError> {
        self.take_as(at, |own| Some(format!("{new}.{own}")))
    }

    /// Takes all below a name, each part by a table of names: `in_layers.0` → `norm1`.
    pub(super) fn take_parts(
        &mut self,
        at: &str,
        new: &str,
        parts: &[(&str, &str)],
    ) -> Result<(), ImportError> {
        self.take_as(at, |own| {
            let (part, kind) = own.rsplit_once('.')?;
            let (_, part) = parts.iter().find(|(old, _)| *old == part)?;
            Some(format!("{new}.{part}.{kind}"))
        })
    }

    /// Takes what is below a name and gets a new one.
    fn take_as(
        &mut self,
        at: &str,
        rename: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ImportError> {
        let below = format!("{at}.");
        let names = self.left.range(below.clone()..);
        let names = names.take_while(|(name, _)| name.starts_with(&below));
        let renamed: Vec<(String, String)> = names
            .filter_map(|(name, _)| Some((name.clone(), rename(&name[below.len()..])?)))
            .collect();
        for (old, new) in renamed {
            if let Some(weight) = self.remove(&old) {
                self.put(new, weight)?;
            }
        }
        Ok(())
    }

    /// Adds a weight under its new name.
    pub(super) fn put(&mut self, name: String, weight: Weight) -> Result<(), ImportError> {
        if self.weights.contains_key(&name) {
            let name = quoted(&name);
            return Err(ImportError::Bad(format!("{name} is there twice")));
        }
        self.weights.insert(name, weight);
        Ok(())
    }

    /// The weights, of which none may be left.
    pub(super) fn finish(self, network: &str) -> Result<Weights, ImportError> {
        match self.left.keys().next() {
            None => Ok(self.weights),
            Some(name) => Err(ImportError::Bad(format!(
                "{} is no weight of a {network} that is known here: convert the file with diffusers, and give the folder",
                quoted(name)
            ))),
        }
    }
}
