//! Typed reading of one config's options, with the class's default where the file is silent.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::SchedulerError;
use crate::text::excerpt;

/// The options of one class. JSON `null` counts as Python's `None`: false for a flag, absent for an
/// optional value, wrong elsewhere.
pub(super) struct Options<'a>(pub(super) &'a Map<String, Value>);

impl Options<'_> {
    /// Whether the file says anything but `null` about it.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    /// A truth value.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool, SchedulerError> {
        match self.0.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(bad(key, other, "true or false")),
        }
    }

    /// A finite number that `f32` can hold too.
    pub(super) fn number(&self, key: &'static str, default: f64) -> Result<f64, SchedulerError> {
        match self.0.get(key) {
            None => Ok(default),
            Some(value) => {
                finite(value).ok_or_else(|| bad(key, value, "a finite number of ordinary size"))
            }
        }
    }

    /// A finite number above zero.
    pub(super) fn positive(&self, key: &'static str, default: f64) -> Result<f64, SchedulerError> {
        let number = self.number(key, default)?;
        match self.0.get(key) {
            Some(value) if number <= 0.0 => Err(bad(key, value, "a number above 0")),
            _ => Ok(number),
        }
    }

    /// A finite number above zero, or nothing.
    pub(super) fn optional_positive(
        &self,
        key: &'static str,
    ) -> Result<Option<f64>, SchedulerError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.positive(key, 1.0).map(Some),
        }
    }

    /// A finite number, or nothing; Python reads 0 as nothing too.
    pub(super) fn number_or_none(&self, key: &'static str) -> Result<Option<f64>, SchedulerError> {
        if !self.is_given(key) {
            return Ok(None);
        }
        Ok(Some(self.number(key, 0.0)?).filter(|number| *number != 0.0))
    }

    /// A finite number or minus infinity, which Python writes into its JSON.
    pub(super) fn number_or_minus_infinity(
        &self,
        key: &'static str,
        default: f64,
    ) -> Result<f64, SchedulerError> {
        match self.0.get(key) {
            Some(Value::String(text)) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => self.number(key, default),
        }
    }

    /// A whole number inside `range`.
    pub(super) fn count(
        &self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, SchedulerError> {
        match self.0.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| range.contains(number))
                .ok_or_else(|| bad(key, value, format!("a whole number in {range:?}"))),
        }
    }

    /// One of a few words, each standing for a value.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        default: T,
        words: &[(&str, T)],
    ) -> Result<T, SchedulerError> {
        let Some(value) = self.0.get(key) else {
            return Ok(default);
        };
        words
            .iter()
            .find(|(word, _)| value.as_str() == Some(word))
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                bad(key, value, format!("one of {}", words.join(", ")))
            })
    }

    /// A list of finite numbers, or nothing.
    pub(super) fn numbers(&self, key: &'static str) -> Result<Option<Vec<f64>>, SchedulerError> {
        let value = match self.0.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        value
            .as_array()
            .and_then(|list| list.iter().map(finite).collect())
            .map(Some)
            .ok_or_else(|| bad(key, value, "a list of finite numbers"))
    }

    /// Fails if a flag is on that would ask for mathematics that easel does not have.
    pub(super) fn refuse(
        &self,
        key: &'static str,
        why: &'static str,
    ) -> Result<(), SchedulerError> {
        if self.flag(key, false)? {
            return Err(unsupported(key, "true", why));
        }
        Ok(())
    }
}

/// The error for a value outside its range.
pub(super) fn bad(
    option: &'static str,
    value: impl Debug + ToString,
    expected: impl Into<String>,
) -> SchedulerError {
    SchedulerError::BadValue {
        option,
        value: excerpt(&value.to_string()),
        expected: expected.into(),
    }
}

/// The error for a value that easel does not implement.
pub(super) fn unsupported(option: &'static str, value: &str, why: &'static str) -> SchedulerError {
    SchedulerError::Unsupported {
        option,
        value: value.to_owned(),
        why,
    }
}

fn finite(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .filter(|number| (*number as f32).is_finite() && number.is_finite())
}
