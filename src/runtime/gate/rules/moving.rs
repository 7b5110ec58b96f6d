//! Operators that take elements from one place to another.

use super::super::node::{Node, axis, known, side};
use super::super::value::{MOST_NUMBERS, Numbers, Value};

type Outputs = Result<Vec<Value>, String>;

pub(super) fn concat(node: &Node<'_>) -> Outputs {
    let first = node.input(0)?;
    let usual = if node.opset < 4 { Some(1) } else { None };
    let along = node.int("axis")?.or(usual).ok_or("has no axis")?;
    let along = axis(along, first.rank())?;
    let mut shape = first.shape.clone();
    shape[along] = 0;
    let parts: Vec<&Value> = node.inputs.iter().flatten().copied().collect();
    for part in &parts {
        let fits = part.rank() == shape.len()
            && (0..shape.len()).all(|at| at == along || part.shape[at] == shape[at]);
        if !fits {
            return Err(format!(
                "joins {:?} and {:?} along axis {along}",
                first.shape, part.shape
            ));
        }
        shape[along] = shape[along]
            .checked_add(part.shape[along])
            .ok_or("joins more than there can be")?;
    }
    let mut output = Value::new(first.element, shape);
    if output.rank() == 1 && output.volume()? <= MOST_NUMBERS {
        let lists = parts.iter().map(|part| part.as_whole());
        let lists: Option<Vec<&[i64]>> = lists.collect();
        output.numbers = match lists {
            Some(lists) => Some(Numbers::Whole(lists.concat())),
            None => {
                let lists: Option<Vec<Vec<f64>>> =
                    parts.iter().map(|part| part.as_real()).collect();
                lists
                    .filter(|_| !output.is_whole())
                    .map(|lists| Numbers::Real(lists.concat()))
            }
        };
    }
    Ok(vec![output])
}

pub(super) fn split(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let along = node.axis("axis", 0, x.rank())?;
    let whole = x.shape[along];
    let count = node.outputs();
    let lengths: Vec<usize> = match node.list("split", 1)? {
        Some(list) => list
            .iter()
            .map(|n| side(*n, "part"))
            .collect::<Result<_, _>>()?,
        None => {
            let parts = node.int_or("num_outputs", count as i64)?;
            if parts != count as i64 {
                return Err(format!("makes {parts} parts for {count} outputs"));
            }
            // All of one length, but for the last, which may be shorter.
            let each = whole.div_ceil(count);
            let last = whole.checked_sub(each * (count - 1));
            let last = last.filter(|last| *last > 0 || whole == 0);
            let last = last.ok_or_else(|| format!("cuts {whole} into {count} parts"))?;
            let mut lengths = vec![each; count];
            lengths[count - 1] = last;
            lengths
        }
    };
    let sum = lengths
        .iter()
        .try_fold(0_usize, |sum, length| sum.checked_add(*length));
    if lengths.len() != count || sum != Some(whole) {
        return Err(format!("cuts {whole} into {lengths:?}"));
    }
    let mut start = 0;
    let parts = lengths.into_iter().map(|length| {
        let mut part = Value::new(x.element, x.shape.clone());
        part.shape[along] = length;
        if x.rank() == 1 {
            let indices: Vec<usize> = (start..start + length).collect();
            part.numbers = x.numbers.as_ref().map(|numbers| numbers.select(&indices));
        }
        start += length;
        part
    });
    Ok(parts.collect())
}

pub(super) fn slice(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let starts = node.list("starts", 1)?.ok_or("has no starts")?;
    let ends = node.list("ends", 2)?.ok_or("has no ends")?;
    let count = starts.len();
    let along = node
        .list("axes", 3)?
        .unwrap_or_else(|| (0..count as i64).collect());
    let steps = match node.optional(4) {
        Some(steps) => known(steps, "steps")?.to_vec(),
        None => vec![1; count],
    };
    if ends.len() != count || along.len() != count || steps.len() != count {
        return Err("has lists of different lengths".into());
    }
    super::super::node::axes(&along, x.rank())?;
    let mut output = Value::new(x.element, x.shape.clone());
    for (at, along) in along.iter().enumerate() {
        let along = axis(*along, x.rank())?;
        let indices = taken(x.shape[along], starts[at], ends[at], steps[at])?;
        output.shape[along] = indices.length;
        if x.rank() == 1 && indices.length <= MOST_NUMBERS {
            let indices: Vec<usize> = indices.all();
            output.numbers = x.numbers.as_ref().map(|numbers| numbers.select(&indices));
        }
    }
    Ok(vec![output])
}

/// Which elements of an axis a slice takes.
struct Taken {
    start: i64,
    step: i64,
    length: usize,
}

impl Taken {
    fn all(&self) -> Vec<usize> {
        let indices = (0..self.length as i64).map(|at| self.start + at * self.step);
        indices.filter_map(|at| usize::try_from(at).ok()).collect()
    }
}

fn taken(side: usize, start: i64, end: i64, step: i64) -> Result<Taken, String> {
    if step == 0 || i32::try_from(step).is_err() {
        return Err(format!("goes by {step}"));
    }
    let side = side as i64;
    let wrapped = |at: i64| if at < 0 { at.saturating_add(side) } else { at };
    let (start, end) = if step > 0 {
        (wrapped(start).clamp(0, side), wrapped(end).clamp(0, side))
    } else {
        (
            wrapped(start).clamp(0, (side - 1).max(0)),
            wrapped(end).clamp(-1, side - 1),
        )
    };
    let distance = if step > 0 { end - start } else { start - end };
    let length = if distance <= 0 {
        0
    } else {
        (distance - 1) / step.abs() + 1
    };
    Ok(Taken {
        start,
        step,
        length: length as usize,
    })
}

pub(super) fn gather(node: &Node<'_>) -> Outputs {
    let (x, at) = (node.input(0)?, node.input(1)?);
    let along = node.axis("axis", 0, x.rank())?;
    let side = x.shape[along] as i64;
    let indices = whole_indices(at, side)?;
    let mut shape = x.shape[..along].to_vec();
    shape.extend(&at.shape);
    shape.extend(&x.shape[along + 1..]);
    let mut output = Value::new(x.element, shape);
    if let (Some(indices), Some(numbers), 1) = (indices, &x.numbers, x.rank()) {
        output.numbers = Some(numbers.select(&indices));
    }
    Ok(vec![output])
}

/// The indices, if they are known, each checked to be within the side.
fn whole_indices(at: &Value, side: i64) -> Result<Option<Vec<usize>>, String> {
    if !at.is_whole() {
        return Err("has indices that are no whole numbers".into());
    }
    let Some(indices) = at.as_whole() else {
        return Ok(None);
    };
    let each = |index: &i64| {
        let wrapped = if *index < 0 {
            index.saturating_add(side)
        } else {
            *index
        };
        usize::try_from(wrapped).ok().filter(|_| wrapped < side)
    };
    let found: Option<Vec<usize>> = indices.iter().map(each).collect();
    found
        .map(Some)
        .ok_or_else(|| format!("takes what is not among {side} elements"))
}

pub(super) fn gather_elements(node: &Node<'_>) -> Outputs {
    let (x, at) = (node.input(0)?, node.input(1)?);
    let along = node.axis("axis", 0, x.rank())?;
    whole_indices(at, x.shape[along] as i64)?;
    let fits = at.rank() == x.rank()
        && (0..x.rank()).all(|axis| axis == along || at.shape[axis] <= x.shape[axis]);
    if !fits {
        return Err(format!("takes {:?} of {:?}", at.shape, x.shape));
    }
    Ok(vec![Value::new(x.element, at.shape.clone())])
}

pub(super) fn gather_nd(node: &Node<'_>) -> Outputs {
    let (x, at) = (node.input(0)?, node.input(1)?);
    let batch = side(node.int_or("batch_dims", 0)?, "number of batch axes")?;
    let Some((deep, places)) = at.shape.split_last() else {
        return Err("has indices without an axis".into());
    };
    let fits = batch <= places.len()
        && batch <= x.rank()
        && x.shape[..batch.min(x.rank())] == places[..batch.min(places.len())]
        && *deep >= 1
        && *deep <= x.rank() - batch.min(x.rank());
    if !fits || !at.is_whole() {
        return Err(format!("takes {:?} of {:?}", at.shape, x.shape));
    }
    if let Some(indices) = at.as_whole() {
        for (number, index) in indices.iter().enumerate() {
            let side = x.shape[batch + number % deep] as i64;
            if !(-side..side).contains(index) {
                return Err(format!("takes element {index} of {side}"));
            }
        }
    }
    let mut shape = places.to_vec();
    shape.extend(&x.shape[batch + deep..]);
    Ok(vec![Value::new(x.element, shape)])
}

/// The places of all numbers but 0, a column for each.
pub(super) fn non_zero(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let numbers = x.as_real().ok_or(
        "finds as many as there are when the network runs: export it with what it looks into as a constant",
    )?;
    let found: Vec<usize> = (0..numbers.len())
        .filter(|at| numbers[*at] != 0.0)
        .collect();
    let mut places = Vec::with_capacity(x.rank() * found.len());
    for axis in 0..x.rank() {
        let behind: usize = x.shape[axis + 1..].iter().product();
        places.extend(found.iter().map(|at| (at / behind % x.shape[axis]) as i64));
    }
    Ok(vec![Value::whole(vec![x.rank(), found.len()], places)])
}

pub(super) fn scatter(node: &Node<'_>) -> Outputs {
    let (x, at, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    if !at.is_whole() {
        return Err("has indices that are no whole numbers".into());
    }
    if node.proto.op_type == "ScatterND" {
        let Some((deep, places)) = at.shape.split_last() else {
            return Err("has indices without an axis".into());
        };
        let rest = x
            .shape
            .get(*deep..)
            .ok_or_else(|| format!("puts {:?} into {:?}", at.shape, x.shape))?;
        if [places, rest].concat() != updates.shape {
            return Err(format!("puts {:?} at {:?}", updates.shape, at.shape));
        }
        if let Some(indices) = at.as_whole() {
            for (number, index) in indices.iter().enumerate() {
                let side = x.shape[number % (*deep).max(1)] as i64;
                if !(-side..side).contains(index) {
                    return Err(format!("writes element {index} of {side}"));
                }
            }
        }
    } else {
        let along = node.axis("axis", 0, x.rank())?;
        whole_indices(at, x.shape[along] as i64)?;
        let fits = at.shape == updates.shape
            && at.rank() == x.rank()
            && (0..x.rank()).all(|axis| axis == along || at.shape[axis] <= x.shape[axis]);
        if !fits {
            return Err(format!(
                "puts {:?} at {:?} of {:?}",
                updates.shape, at.shape, x.shape
            ));
        }
    }
    Ok(vec![Value::new(x.element, x.shape.clone())])
}

pub(super) fn pad(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let pads = node.list("pads", 1)?.ok_or("has no pads")?;
    node.single(2)?;
    let along: Vec<usize> = match node.optional(3) {
        None => (0..x.rank()).collect(),
        Some(list) => {
            let list = known(list, "its axes")?;
            super::super::node::axes(list, x.rank())?;
            list.iter()
                .map(|n| axis(*n, x.rank()))
                .collect::<Result<_, _>>()?
        }
    };
    if pads.len() != 2 * along.len() {
        return Err(format!(
            "pads {} axes with {} numbers",
            along.len(),
            pads.len()
        ));
    }
    let mode = node.text("mode")?.unwrap_or("constant");
    let mut shape = x.shape.clone();
    for (number, axis) in along.iter().enumerate() {
        let (before, behind) = (pads[number], pads[number + along.len()]);
        let own = x.shape[*axis] as i64;
        let most = match mode {
            "constant" => i64::MAX,
            "reflect" => own - 1,
            "edge" | "wrap" if own > 0 => i64::MAX,
            mode => {
                return Err(format!(
                    "pads {own} by the mode `{}`",
                    crate::text::excerpt(mode)
                ));
            }
        };
        if before.max(behind) > most.max(0) {
            return Err(format!("pads {own} by {before} and {behind}"));
        }
        let padded = own
            .checked_add(before)
            .and_then(|sum| sum.checked_add(behind));
        let padded = padded.filter(|_| before >= -own && behind >= -own);
        shape[*axis] = padded
            .and_then(|sum| usize::try_from(sum).ok())
            .ok_or_else(|| format!("pads {own} by {before} and {behind}"))?;
    }
    Ok(vec![Value::new(x.element, shape)])
}

pub(super) fn one_hot(node: &Node<'_>) -> Outputs {
    let (at, depth, values) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let depth = match depth.as_real().as_deref() {
        Some(&[depth]) if depth >= 1.0 && depth <= f64::from(u32::MAX) => depth as usize,
        _ => return Err("has no known depth".into()),
    };
    if values.shape != [2] {
        return Err(format!("has the values {:?}", values.shape));
    }
    whole_indices(at, depth as i64)?;
    let along = node.axis("axis", -1, at.rank() + 1)?;
    let mut shape = at.shape.clone();
    shape.insert(along, depth);
    Ok(vec![Value::new(values.element, shape)])
}
