//! Operators that make values, or give those that are there another shape.

use tract_onnx::pb::{TensorProto, attribute_proto::AttributeType, tensor_proto::DataType};

use super::super::attributes;
use super::super::node::{Node, axes, known, side};
use super::super::value::{MOST_NUMBERS, Numbers, Value, broadcast, volume};

type Outputs = Result<Vec<Value>, String>;

pub(super) fn constant(node: &Node<'_>) -> Outputs {
    let [attribute] = &node.proto.attribute[..] else {
        return Err("has no single value".into());
    };
    let kind = AttributeType::try_from(attribute.r#type).unwrap_or_default();
    let value = match (attribute.name.as_str(), kind) {
        ("value", AttributeType::Tensor) => {
            let tensor = attributes::tensor(node.proto, "value")?;
            Value::of(tensor.ok_or("has no value")?)?
        }
        ("value_int", AttributeType::Int) => Value::whole(vec![], vec![attribute.i]),
        ("value_ints", AttributeType::Ints) => {
            Value::whole(vec![attribute.ints.len()], attribute.ints.clone())
        }
        ("value_float", AttributeType::Float) => Value {
            numbers: Some(Numbers::Real(vec![f64::from(attribute.f)])),
            ..Value::new(DataType::Float, vec![])
        },
        ("value_floats", AttributeType::Floats) => {
            Value::new(DataType::Float, vec![attribute.floats.len()])
        }
        _ => return Err("has a value of a kind that easel does not know".into()),
    };
    Ok(vec![value])
}

pub(super) fn constant_of_shape(node: &Node<'_>) -> Outputs {
    let sides = known(node.input(0)?, "its shape")?;
    let shape = sides.iter().map(|n| side(*n, "side"));
    let shape: Vec<usize> = shape.collect::<Result<_, _>>()?;
    let zero = TensorProto {
        dims: vec![1],
        data_type: DataType::Float as i32,
        float_data: vec![0.0],
        ..TensorProto::default()
    };
    let value = attributes::tensor(node.proto, "value")?.unwrap_or(&zero);
    let value = Value::of(value)?;
    if value.volume()? != 1 {
        return Err("has a value that is no single number".into());
    }
    let mut output = Value::new(value.element, shape);
    let count = output.volume()?;
    if count <= MOST_NUMBERS {
        let indices = vec![0; count];
        output.numbers = value.numbers.map(|numbers| numbers.select(&indices));
    }
    Ok(vec![output])
}

pub(super) fn range(node: &Node<'_>) -> Outputs {
    let values = [node.input(0)?, node.input(1)?, node.input(2)?];
    if values.iter().any(|value| value.volume() != Ok(1)) {
        return Err("has bounds that are no single numbers".into());
    }
    let element = values[0].element;
    let number = |value: &Value| value.as_real().map(|numbers| numbers[0]);
    let unknown = "its bounds are only known when the network runs";
    let [start, end, step] = values.map(number);
    let (start, end, step) = (
        start.ok_or(unknown)?,
        end.ok_or(unknown)?,
        step.ok_or(unknown)?,
    );
    if step == 0.0 || !(start.is_finite() && end.is_finite() && step.is_finite()) {
        return Err(format!("goes from {start} to {end} by {step}"));
    }
    let count = ((end - start) / step).ceil().max(0.0);
    if count > f64::from(u32::MAX) {
        return Err(format!("goes from {start} to {end} by {step}"));
    }
    let count = count as usize;
    let mut output = Value::new(element, vec![count]);
    if count <= MOST_NUMBERS {
        let numbers = (0..count).map(|at| start + at as f64 * step);
        output.numbers = Some(if output.is_whole() {
            Numbers::Whole(numbers.map(|n| n as i64).collect())
        } else {
            Numbers::Real(numbers.collect())
        });
    }
    Ok(vec![output])
}

pub(super) fn shape(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let rank = x.rank() as i64;
    let bound = |name, usual| -> Result<usize, String> {
        let at = node.int_or(name, usual)?;
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        Ok(at.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let sides = x.shape.get(start..end.max(start)).unwrap_or_default();
    let mut output = Value::whole(
        vec![sides.len()],
        sides.iter().map(|side| *side as i64).collect(),
    );
    // Known from the shape alone: computed while the network is built.
    output.constant = true;
    Ok(vec![output])
}

pub(super) fn size(node: &Node<'_>) -> Outputs {
    let count = node.input(0)?.volume()? as i64;
    Ok(vec![Value {
        constant: true,
        ..Value::whole(vec![], vec![count])
    }])
}

/// The same elements in another shape.
fn shaped(x: &Value, shape: Vec<usize>) -> Outputs {
    if volume(&shape)? != x.volume()? {
        return Err(format!(
            "gives {:?} the shape {shape:?}: if the file was exported for one size, ask for that",
            x.shape
        ));
    }
    Ok(vec![Value {
        shape,
        constant: false,
        ..x.clone()
    }])
}

pub(super) fn reshape(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let wanted = node.list("shape", 1)?.ok_or("has no shape")?;
    let allow_zero = node.flag("allowzero")?;
    let mut open = None;
    let mut shape = Vec::with_capacity(wanted.len().min(16));
    for (at, wanted) in wanted.iter().enumerate() {
        shape.push(match wanted {
            -1 if open.replace(at).is_some() => return Err("leaves two sides open".into()),
            -1 => 1,
            0 if !allow_zero => *x
                .shape
                .get(at)
                .ok_or_else(|| format!("takes side {at} of {:?}", x.shape))?,
            wanted => side(*wanted, "side")?,
        });
    }
    if let Some(open) = open {
        let (all, others) = (x.volume()?, volume(&shape)?);
        if others == 0 || !all.is_multiple_of(others) {
            return Err(format!(
                "gives {:?} the shape {wanted:?}: if the file was exported for one size, ask for that",
                x.shape
            ));
        }
        shape[open] = all / others;
    }
    shaped(x, shape)
}

pub(super) fn flatten(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let rank = x.rank() as i64;
    let at = node.int_or("axis", 1)?;
    if !(-rank..=rank).contains(&at) {
        return Err(format!("axis {at} of a value of {rank} axes"));
    }
    let at = if at < 0 { at + rank } else { at } as usize;
    let (rows, columns) = x.shape.split_at(at);
    shaped(x, vec![volume(rows)?, volume(columns)?])
}

pub(super) fn squeeze(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let gone = match node.list("axes", 1)? {
        Some(list) => axes(&list, x.rank())?,
        None => (0..x.rank()).filter(|axis| x.shape[*axis] == 1).collect(),
    };
    if let Some(axis) = gone.iter().find(|axis| x.shape[**axis] != 1) {
        return Err(format!("takes axis {axis} out of {:?}", x.shape));
    }
    let left = (0..x.rank()).filter(|axis| !gone.contains(axis));
    shaped(x, left.map(|axis| x.shape[axis]).collect())
}

pub(super) fn unsqueeze(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let list = node.list("axes", 1)?.ok_or("has no axes")?;
    if list.len() > 8 {
        return Err(format!("adds {} axes", list.len()));
    }
    let added = axes(&list, x.rank() + list.len())?;
    let mut shape = x.shape.clone();
    added.iter().for_each(|axis| shape.insert(*axis, 1));
    shaped(x, shape)
}

pub(super) fn transpose(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let order: Vec<usize> = match node.ints("perm")? {
        None => (0..x.rank()).rev().collect(),
        Some(list) => {
            if axes(list, x.rank())?.len() != x.rank() || list.iter().any(|axis| *axis < 0) {
                return Err(format!("puts {:?} into the order {list:?}", x.shape));
            }
            list.iter().map(|axis| *axis as usize).collect()
        }
    };
    let shape = order.iter().map(|axis| x.shape[*axis]).collect();
    Ok(vec![Value {
        // Of lists, and of what has one element, the order is the same.
        numbers: x.numbers.clone().filter(|_| x.rank() < 2),
        ..Value::new(x.element, shape)
    }])
}

pub(super) fn expand(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let wanted = known(node.input(1)?, "its shape")?;
    let wanted: Vec<usize> = wanted
        .iter()
        .map(|n| side(*n, "side"))
        .collect::<Result<_, _>>()?;
    let shape = broadcast([&x.shape[..], &wanted])?;
    let mut output = Value::new(x.element, shape);
    let count = output.volume()?;
    if x.volume()? == 1 && count <= MOST_NUMBERS {
        let indices = vec![0; count];
        output.numbers = x.numbers.as_ref().map(|numbers| numbers.select(&indices));
    }
    Ok(vec![output])
}

pub(super) fn tile(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let times = known(node.input(1)?, "how often")?;
    if times.len() != x.rank() {
        return Err(format!("repeats {:?} {times:?} times", x.shape));
    }
    let sides = x.shape.iter().zip(times).map(|(own, times)| {
        let times = side(*times, "number")?;
        own.checked_mul(times)
            .ok_or_else(|| format!("repeats {own} {times} times"))
    });
    Ok(vec![Value::new(
        x.element,
        sides.collect::<Result<_, String>>()?,
    )])
}

pub(super) fn eye_like(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let element = node.element("dtype")?.unwrap_or(x.element);
    if x.rank() != 2 {
        return Err("needs a matrix".into());
    }
    Ok(vec![Value::new(element, x.shape.clone())])
}
