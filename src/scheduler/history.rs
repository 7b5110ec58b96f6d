use std::collections::VecDeque;

/// What a multistep method remembers of earlier evaluations: the newest few, equally long.
pub(super) struct History {
    kept: VecDeque<Vec<f32>>,
    most: usize,
}

impl History {
    /// Remembers up to `most` evaluations.
    pub(super) fn new(most: usize) -> Self {
        Self {
            kept: VecDeque::with_capacity(most),
            most,
        }
    }

    /// Remembers `values` as the newest, in the place of the oldest if it is full.
    pub(super) fn push(&mut self, values: &[f32]) {
        if self.most == 0 {
            return;
        }
        let mut newest = if self.kept.len() == self.most {
            self.kept.pop_back().unwrap_or_default()
        } else {
            Vec::with_capacity(values.len())
        };
        newest.clear();
        newest.extend_from_slice(values);
        self.kept.push_front(newest);
    }

    /// The values pushed `back` pushes before the newest; `back` is below [`len`](Self::len).
    pub(super) fn get(&self, back: usize) -> &[f32] {
        &self.kept[back]
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}
