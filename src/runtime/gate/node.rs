//! A node, as the rules see it.

use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::attributes;
use super::value::Value;

/// A node with what is known of its inputs.
pub(super) struct Node<'n> {
    pub(super) proto: &'n NodeProto,
    /// `None`: left out.
    pub(super) inputs: Vec<Option<&'n Value>>,
    /// The version of ONNX's operators.
    pub(super) opset: i64,
}

impl<'n> Node<'n> {
    /// An input that must be there.
    pub(super) fn input(&self, at: usize) -> Result<&'n Value, String> {
        self.optional(at)
            .ok_or_else(|| format!("has no input {at}"))
    }

    pub(super) fn optional(&self, at: usize) -> Option<&'n Value> {
        self.inputs.get(at).copied().flatten()
    }

    /// That an input, if it is there, is a single number: tract reads the first of its elements, whether there is one or not.
    pub(super) fn single(&self, at: usize) -> Result<(), String> {
        match self.optional(at) {
            Some(value) if value.volume()? != 1 => Err(format!(
                "has {:?} where a single number belongs",
                value.shape
            )),
            _ => Ok(()),
        }
    }

    /// How many outputs somebody may read.
    pub(super) fn outputs(&self) -> usize {
        self.proto.output.len()
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        attributes::int(self.proto, name)
    }

    pub(super) fn int_or(&self, name: &str, usual: i64) -> Result<i64, String> {
        Ok(self.int(name)?.unwrap_or(usual))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        Ok(self.int_or(name, 0)? != 0)
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'n [i64]>, String> {
        attributes::ints(self.proto, name)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'n str>, String> {
        attributes::text(self.proto, name)
    }

    /// Whole numbers that older versions have as an attribute and newer ones as an input, which must be known; `None`: neither.
    pub(super) fn list(&self, name: &str, at: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(list) = self.ints(name)? {
            return Ok(Some(list.to_vec()));
        }
        self.optional(at)
            .map(|value| known(value, name).map(<[i64]>::to_vec))
            .transpose()
    }

    /// An attribute that is an axis of a value of so many.
    pub(super) fn axis(&self, name: &str, usual: i64, rank: usize) -> Result<usize, String> {
        axis(self.int_or(name, usual)?, rank)
    }

    /// The element type that an attribute names.
    pub(super) fn element(&self, name: &str) -> Result<Option<DataType>, String> {
        let Some(number) = self.int(name)? else {
            return Ok(None);
        };
        let element = i32::try_from(number).ok().map(DataType::try_from);
        match element {
            Some(Ok(element)) if super::value::width(element).is_some() => Ok(Some(element)),
            _ => Err(format!(
                "{name} is {number}, no element type that easel knows"
            )),
        }
    }
}

/// The whole numbers of a value that a shape depends on.
pub(super) fn known<'v>(value: &'v Value, what: &str) -> Result<&'v [i64], String> {
    value.as_whole().ok_or_else(|| {
        format!("{what} is only known when the network runs: export it with fixed sizes there")
    })
}

/// An axis of a value of so many; negative ones count from the end.
pub(super) fn axis(number: i64, rank: usize) -> Result<usize, String> {
    let rank = rank as i64;
    if !(-rank..rank).contains(&number) {
        return Err(format!("axis {number} of a value of {rank} axes"));
    }
    Ok((if number < 0 { number + rank } else { number }) as usize)
}

/// Axes of a value of so many, each once, ascending.
pub(super) fn axes(numbers: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    if numbers.len() > rank {
        return Err(format!("{} axes of a value of {rank}", numbers.len()));
    }
    let axes: Result<Vec<usize>, String> = numbers.iter().map(|n| axis(*n, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("names an axis twice: {numbers:?}"));
    }
    Ok(axes)
}

/// A side of a shape.
pub(super) fn side(number: i64, what: &str) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("{what} {number} is no length"))
}
