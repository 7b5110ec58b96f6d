//! Convolutions, and what else works on images `[n, c, h, w]` and on lists `[n, c, w]`.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::node::{Node, known, side};
use super::super::value::Value;
use super::products::MOST_WORK;

type Outputs = Result<Vec<Value>, String>;

/// How a window goes over an image, by axis.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Before and behind.
    pads: Vec<(usize, usize)>,
    /// Whether pads follow from the size: as many elements come out as go in, divided by the stride.
    same: bool,
    ceil: bool,
}

/// Sides of images and kernels are no longer: sums of a few of them have a number.
const LONGEST: usize = 1 << 28;

impl Window {
    fn of(node: &Node<'_>, kernel: Vec<usize>) -> Result<Self, String> {
        let axes = kernel.len();
        let list = |name, usual: usize, count: usize| -> Result<Vec<usize>, String> {
            let Some(found) = node.ints(name)?.filter(|found| !found.is_empty()) else {
                return Ok(vec![usual; count]);
            };
            if found.len() != count {
                return Err(format!("has {} {name} for {axes} axes", found.len()));
            }
            let sides = found
                .iter()
                .map(|n| side(*n, name).and_then(|n| short(n, name)));
            sides.collect()
        };
        let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
        if kernel
            .iter()
            .chain(&strides)
            .chain(&dilations)
            .any(|n| *n == 0)
        {
            return Err("has a kernel, stride or dilation of 0".into());
        }
        let pads = list("pads", 0, 2 * axes)?;
        let (before, behind) = pads.split_at(axes);
        let same = match node.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => false,
            "SAME_UPPER" | "SAME_LOWER" => true,
            "VALID" if pads.iter().all(|pad| *pad == 0) => false,
            other => return Err(format!("pads by `{}`", crate::text::excerpt(other))),
        };
        Ok(Self {
            pads: before.iter().copied().zip(behind.iter().copied()).collect(),
            kernel,
            strides,
            dilations,
            same,
            ceil: node.flag("ceil_mode")?,
        })
    }

    /// What comes out of an image of these sides.
    fn output(&self, image: &[usize]) -> Result<Vec<usize>, String> {
        let each = |axis: usize| {
            let (image, stride) = (short(image[axis], "side")?, self.strides[axis]);
            if self.same {
                return Ok(image.div_ceil(stride));
            }
            let reach = (self.kernel[axis] - 1)
                .checked_mul(self.dilations[axis])
                .and_then(|reach| reach.checked_add(1));
            let (before, behind) = self.pads[axis];
            let room = reach.and_then(|reach| (image + before + behind).checked_sub(reach));
            let room = room.ok_or_else(|| {
                format!("a kernel of {:?} does not fit into {image}", self.kernel)
            })?;
            let steps = if self.ceil {
                room.div_ceil(stride)
            } else {
                room / stride
            };
            Ok(steps + 1)
        };
        (0..self.kernel.len()).map(each).collect()
    }
}

fn short(length: usize, what: &str) -> Result<usize, String> {
    if length > LONGEST {
        return Err(format!("has {what} {length}"));
    }
    Ok(length)
}

/// The sides of images `[n, c, …]`.
fn sides(x: &Value) -> Result<&[usize], String> {
    match x.shape.get(2..) {
        Some(sides) if !sides.is_empty() && sides.len() <= 3 && !x.shape.contains(&0) => Ok(sides),
        _ => Err(format!("works on images, not on {:?}", x.shape)),
    }
}

fn convolved(node: &Node<'_>, x: &Value, weights: &Value, element: DataType) -> Outputs {
    let image = sides(x)?;
    let kernel = sides(weights)?;
    let groups = side(node.int_or("group", 1)?, "group")?;
    let fits = groups > 0
        && kernel.len() == image.len()
        && weights.shape[1].checked_mul(groups) == Some(x.shape[1])
        && weights.shape[0].is_multiple_of(groups);
    if !fits {
        return Err(format!(
            "weights {:?} in {groups} groups do not fit {:?}",
            weights.shape, x.shape
        ));
    }
    if let Some(declared) = node.ints("kernel_shape")?
        && !declared
            .iter()
            .map(|n| usize::try_from(*n).ok())
            .eq(kernel.iter().map(|n| Some(*n)))
    {
        return Err(format!(
            "has weights {:?} for a kernel of {declared:?}",
            weights.shape
        ));
    }
    let window = Window::of(node, kernel.to_vec())?;
    let mut shape = vec![x.shape[0], weights.shape[0]];
    shape.extend(window.output(image)?);
    Ok(vec![Value::new(element, shape)])
}

pub(super) fn conv(node: &Node<'_>) -> Outputs {
    let (x, weights) = (node.input(0)?, node.input(1)?);
    if let Some(bias) = node.optional(2)
        && bias.shape[..] != [weights.shape.first().copied().unwrap_or(0)]
    {
        return Err(format!(
            "adds {:?} to {:?} channels",
            bias.shape,
            weights.shape.first()
        ));
    }
    convolved(node, x, weights, x.element)
}

pub(super) fn conv_integer(node: &Node<'_>) -> Outputs {
    node.single(2)?;
    convolved(node, node.input(0)?, node.input(1)?, DataType::Int32)
}

pub(super) fn quantized_conv(node: &Node<'_>) -> Outputs {
    for at in [1, 2, 6, 7] {
        node.single(at)?;
    }
    convolved(node, node.input(0)?, node.input(3)?, node.input(7)?.element)
}

pub(super) fn conv_transpose(node: &Node<'_>) -> Outputs {
    let (x, weights) = (node.input(0)?, node.input(1)?);
    let (image, kernel) = (sides(x)?, sides(weights)?);
    let groups = side(node.int_or("group", 1)?, "group")?;
    if groups == 0
        || kernel.len() != image.len()
        || weights.shape[0] != x.shape[1]
        || !x.shape[1].is_multiple_of(groups)
    {
        return Err(format!(
            "weights {:?} do not fit {:?}",
            weights.shape, x.shape
        ));
    }
    if node.ints("output_shape")?.is_some() {
        return Err("has an output_shape, which easel does not know".into());
    }
    let window = Window::of(node, kernel.to_vec())?;
    if window.same {
        return Err("pads by auto_pad, which easel does not know here".into());
    }
    let more = node.ints("output_padding")?.unwrap_or(&[]);
    if !more.is_empty() && more.len() != image.len() {
        return Err("has output_padding for other axes".into());
    }
    let mut shape = vec![
        x.shape[0],
        weights.shape[1]
            .checked_mul(groups)
            .ok_or("has too many groups")?,
    ];
    for (axis, image) in image.iter().enumerate() {
        let more = side(more.get(axis).copied().unwrap_or(0), "output_padding")?;
        let reach = (window.kernel[axis] - 1).checked_mul(window.dilations[axis]);
        let (before, behind) = window.pads[axis];
        let length = (short(*image, "side")? - 1)
            .checked_mul(window.strides[axis])
            .and_then(|length| {
                length
                    .checked_add(reach?)?
                    .checked_add(1)?
                    .checked_add(short(more, "side").ok()?)
            })
            .and_then(|length| length.checked_sub(before + behind))
            .filter(|length| *length > 0);
        shape.push(length.ok_or("has pads that leave nothing")?);
    }
    Ok(vec![Value::new(x.element, shape)])
}

pub(super) fn pool(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let image = sides(x)?;
    let kernel = node.ints("kernel_shape")?.ok_or("has no kernel_shape")?;
    let kernel = kernel
        .iter()
        .map(|n| side(*n, "kernel_shape").and_then(|n| short(n, "kernel_shape")));
    let kernel: Vec<usize> = kernel.collect::<Result<_, _>>()?;
    if kernel.len() != image.len() || kernel.contains(&0) {
        return Err(format!("a kernel of {kernel:?} does not fit {image:?}"));
    }
    let window = Window::of(node, kernel)?;
    let mut pads = window.kernel.iter().zip(&window.pads);
    if pads.any(|(kernel, (before, behind))| before.max(behind) >= kernel) {
        return Err(format!("pads {image:?} by more than a kernel"));
    }
    let output = window.output(image)?;
    let taps = window.kernel.iter().chain(&output).chain(&x.shape[..2]);
    let work = taps.map(|side| *side as f64).product::<f64>();
    if work > MOST_WORK {
        return Err(format!("looks at {work:.0e} elements"));
    }
    let mut shape = x.shape[..2].to_vec();
    shape.extend(output);
    Ok(vec![Value::new(x.element, shape)])
}

pub(super) fn global_pool(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let mut shape = x.shape[..2.min(x.rank())].to_vec();
    shape.extend(sides(x)?.iter().map(|_| 1));
    Ok(vec![Value::new(x.element, shape)])
}

pub(super) fn resize(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    // Version 10 has the scales in the place of the region of interest.
    let (scales, sizes) = if node.opset < 11 { (1, 9) } else { (2, 3) };
    let given = |at: usize| node.optional(at).filter(|value| value.shape != [0]);
    let shape: Vec<usize> = match (given(scales), given(sizes)) {
        (None, Some(sizes)) => {
            let sizes = known(sizes, "its size")?;
            sizes
                .iter()
                .map(|n| side(*n, "side"))
                .collect::<Result<_, _>>()?
        }
        (Some(scales), None) => {
            let scales = scales
                .as_real()
                .ok_or("has scales that are only known when the network runs")?;
            if scales.len() != x.rank() {
                return Err(format!("has {} scales for {:?}", scales.len(), x.shape));
            }
            let scaled = x.shape.iter().zip(&scales).map(|(own, scale)| {
                let length = (*own as f64 * scale).floor();
                let fits = scale.is_finite() && *scale > 0.0 && length <= LONGEST as f64;
                fits.then_some(length as usize)
                    .ok_or_else(|| format!("enlarges {own} by {scale}"))
            });
            scaled.collect::<Result<_, _>>()?
        }
        _ => return Err("has neither scales nor a size, or both".into()),
    };
    if node.ints("axes")?.is_some() || shape.len() != x.rank() || shape.contains(&0) {
        return Err(format!("makes {shape:?} of {:?}", x.shape));
    }
    Ok(vec![Value::new(x.element, shape)])
}

/// Sides and block size of what moves between channels and pixels.
fn blocks(node: &Node<'_>) -> Result<([usize; 4], usize), String> {
    let x = node.input(0)?;
    let block = node.int("blocksize")?.ok_or("has no blocksize")?;
    let block = side(block, "blocksize").and_then(|n| {
        if n <= 4096 {
            Ok(n)
        } else {
            Err(format!("has blocksize {n}"))
        }
    })?;
    match (x.shape.as_slice().try_into(), block) {
        (Ok(shape), 1..) => Ok((shape, block)),
        _ => Err(format!("moves blocks of {block} in {:?}", x.shape)),
    }
}

pub(super) fn depth_to_space(node: &Node<'_>) -> Outputs {
    let ([n, c, h, w], block) = blocks(node)?;
    if !c.is_multiple_of(block * block) {
        return Err(format!("makes blocks of {block} of {c} channels"));
    }
    let sides = (h.checked_mul(block)).zip(w.checked_mul(block));
    let (h, w) = sides.ok_or("makes more than there can be")?;
    Ok(vec![Value::new(
        node.input(0)?.element,
        vec![n, c / (block * block), h, w],
    )])
}

pub(super) fn space_to_depth(node: &Node<'_>) -> Outputs {
    let ([n, c, h, w], block) = blocks(node)?;
    if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
        return Err(format!("takes blocks of {block} out of {h} by {w}"));
    }
    let c = c
        .checked_mul(block * block)
        .ok_or("makes more than there can be")?;
    Ok(vec![Value::new(
        node.input(0)?.element,
        vec![n, c, h / block, w / block],
    )])
}
