//! The layers that networks are made of, as nodes: torch's names, torch's meaning.
//!
//! A layer is named by its weights' prefix in the checkpoint ("mid_block.resnets.0.conv1"); how wide it is, its weights say.

use tract_onnx::pb::tensor_proto::DataType;

use super::error::{ImportError, quoted, shown};
use super::graph::{Attribute, Graph, Stored, Value};

impl Graph<'_> {
    /// A convolution with a border of `padding` zeros, `[top, left, bottom, right]`.
    pub(crate) fn conv_padded(
        &mut self,
        layer: &str,
        x: &Value,
        stride: i64,
        padding: [i64; 4],
    ) -> Result<Value, ImportError> {
        let name = format!("{layer}.weight");
        let [out, input, rows, columns] = self.weight_of(&name)?;
        self.fits(&name, input, x)?;
        let weight = self.parameter(&name, Stored::AsIs, Some(layer));
        let mut inputs = vec![x.name.as_str(), &weight];
        let bias = self.bias(layer, out)?;
        inputs.extend(bias.as_deref());
        let attributes = [
            Attribute::Ints("dilations", &[1, 1]),
            Attribute::Int("group", 1),
            Attribute::Ints("kernel_shape", &[rows as i64, columns as i64]),
            Attribute::Ints("pads", &padding),
            Attribute::Ints("strides", &[stride, stride]),
        ];
        Ok(self.node("Conv", &inputs, &attributes, out))
    }

    /// A convolution whose output is as large as its input.
    pub(crate) fn conv(&mut self, layer: &str, x: &Value) -> Result<Value, ImportError> {
        self.conv_strided(layer, x, 1)
    }

    /// A convolution of every `stride`-th place.
    pub(crate) fn conv_strided(
        &mut self,
        layer: &str,
        x: &Value,
        stride: i64,
    ) -> Result<Value, ImportError> {
        let [_, _, rows, columns] = self.weight_of(&format!("{layer}.weight"))?;
        let (rows, columns) = (rows as i64 / 2, columns as i64 / 2);
        self.conv_padded(layer, x, stride, [rows, columns, rows, columns])
    }

    /// A linear layer of tokens, `[batch, tokens, features]`.
    pub(crate) fn linear(&mut self, layer: &str, x: &Value) -> Result<Value, ImportError> {
        let name = format!("{layer}.weight");
        let [out, input] = self.weight_of(&name)?;
        self.fits(&name, input, x)?;
        let weight = self.parameter(&name, Stored::Transposed, Some(layer));
        let product = self.node("MatMul", &[&x.name, &weight], &[], out);
        match self.bias(layer, out)? {
            Some(bias) => Ok(self.node("Add", &[&bias, &product.name], &[], out)),
            None => Ok(product),
        }
    }

    /// A linear layer of one row a picture, `[batch, features]`.
    pub(crate) fn linear_row(&mut self, layer: &str, x: &Value) -> Result<Value, ImportError> {
        let name = format!("{layer}.weight");
        let [out, input] = self.weight_of(&name)?;
        self.fits(&name, input, x)?;
        let Some(bias) = self.bias(layer, out)? else {
            return self.linear(layer, x);
        };
        let weight = self.parameter(&name, Stored::AsIs, Some(layer));
        let attributes = [
            Attribute::Float("alpha", 1.0),
            Attribute::Float("beta", 1.0),
            Attribute::Int("transB", 1),
        ];
        Ok(self.node("Gemm", &[&x.name, &weight, &bias], &attributes, out))
    }

    /// Rows of a table by their numbers.
    pub(crate) fn embedding(&mut self, layer: &str, numbers: &str) -> Result<Value, ImportError> {
        let name = format!("{layer}.weight");
        let [_, features] = self.weight_of(&name)?;
        let table = self.parameter(&name, Stored::AsIs, Some(layer));
        Ok(self.node("Gather", &[&table, numbers], &[], features))
    }

    /// Normalizes each token (arXiv 1607.06450).
    pub(crate) fn layer_norm(
        &mut self,
        layer: &str,
        x: &Value,
        epsilon: f32,
    ) -> Result<Value, ImportError> {
        let (scale, shift) = self.affine(layer, x, None)?;
        let attributes = [
            Attribute::Int("axis", -1),
            Attribute::Float("epsilon", epsilon),
        ];
        Ok(self.node(
            "LayerNormalization",
            &[&x.name, &scale, &shift],
            &attributes,
            x.channels,
        ))
    }

    /// Normalizes groups of a picture's channels (arXiv 1803.08494).
    pub(crate) fn group_norm(
        &mut self,
        layer: &str,
        x: &Value,
        groups: usize,
        epsilon: f32,
    ) -> Result<Value, ImportError> {
        if !x.channels.is_multiple_of(groups) {
            let channels = x.channels;
            let problem = format!(
                "config.json: {groups} groups do not divide the {channels} channels of {}",
                quoted(layer)
            );
            return Err(self.problem(problem));
        }
        let (scale, shift) = self.affine(layer, x, Some(vec![x.channels, 1, 1]))?;
        let grouped = self.integers(&[0, groups as i64, -1]);
        let grouped = self.node("Reshape", &[&x.name, &grouped], &[], 0);
        let (ones, zeros) = (vec![1.0; groups], vec![0.0; groups]);
        let (ones, zeros) = (
            self.floats(&[groups], &ones),
            self.floats(&[groups], &zeros),
        );
        let epsilon = [Attribute::Float("epsilon", epsilon)];
        let normed = self.node(
            "InstanceNormalization",
            &[&grouped.name, &ones, &zeros],
            &epsilon,
            0,
        );
        let shape = self.node("Shape", &[&x.name], &[], 0);
        let normed = self.node("Reshape", &[&normed.name, &shape.name], &[], x.channels);
        let scaled = self.node("Mul", &[&normed.name, &scale], &[], x.channels);
        Ok(self.node("Add", &[&scaled.name, &shift], &[], x.channels))
    }

    /// A norm's factor and what it adds, for each channel, in this shape.
    fn affine(
        &mut self,
        layer: &str,
        x: &Value,
        shape: Option<Vec<usize>>,
    ) -> Result<(String, String), ImportError> {
        let mut names = Vec::new();
        for part in ["weight", "bias"] {
            let name = format!("{layer}.{part}");
            let [channels] = self.weight_of(&name)?;
            self.fits(&name, channels, x)?;
            let stored = shape.clone().map_or(Stored::AsIs, Stored::Shaped);
            names.push(self.parameter(&name, stored, None));
        }
        let shift = names.pop().unwrap_or_default();
        Ok((names.pop().unwrap_or_default(), shift))
    }

    fn bias(&mut self, layer: &str, out: usize) -> Result<Option<String>, ImportError> {
        let name = format!("{layer}.bias");
        if !self.has(&name) {
            return Ok(None);
        }
        let [there] = self.weight_of(&name)?;
        if there != out {
            let name = quoted(&name);
            return Err(self.problem(format_args!(
                "{name} has {there} numbers, its layer {out} channels"
            )));
        }
        Ok(Some(self.parameter(&name, Stored::AsIs, None)))
    }

    /// Refuses a weight that does not take what it is given.
    fn fits(&self, name: &str, takes: usize, x: &Value) -> Result<(), ImportError> {
        if takes == x.channels {
            return Ok(());
        }
        let shape = shown(self.weight(name)?.shape());
        let (name, given) = (quoted(name), x.channels);
        Err(self.problem(format_args!(
            "{name} is {shape}, but what comes before it has {given} channels: config.json does not belong to these weights"
        )))
    }

    pub(crate) fn add(&mut self, x: &Value, y: &Value) -> Value {
        self.node("Add", &[&x.name, &y.name], &[], x.channels)
    }

    pub(crate) fn multiply(&mut self, x: &Value, factor: f32) -> Value {
        let factor = self.floats(&[], &[factor]);
        self.node("Mul", &[&x.name, &factor], &[], x.channels)
    }

    pub(crate) fn divide(&mut self, x: &Value, by: f32) -> Value {
        let by = self.floats(&[], &[by]);
        self.node("Div", &[&x.name, &by], &[], x.channels)
    }

    pub(crate) fn plus(&mut self, x: &Value, addend: f32) -> Value {
        let addend = self.floats(&[], &[addend]);
        self.node("Add", &[&x.name, &addend], &[], x.channels)
    }

    pub(crate) fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
        let channels = values.iter().map(|value| value.channels).sum();
        self.node("Concat", &names, &[Attribute::Int("axis", axis)], channels)
    }

    pub(crate) fn transpose(&mut self, x: &Value, axes: &[i64]) -> Value {
        self.node(
            "Transpose",
            &[&x.name],
            &[Attribute::Ints("perm", axes)],
            x.channels,
        )
    }

    /// `shape` as ONNX reads it: 0 leaves an axis, -1 is what is left.
    pub(crate) fn reshape(&mut self, x: &Value, shape: &[i64], channels: usize) -> Value {
        let shape = self.integers(shape);
        self.node("Reshape", &[&x.name, &shape], &[], channels)
    }

    pub(crate) fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.integers(axes);
        self.node("Unsqueeze", &[&x.name, &axes], &[], x.channels)
    }

    /// The same for each picture of a batch as large as that of `like`: `[1, n, c]` to `[batch, n, c]`.
    pub(crate) fn for_each(&mut self, x: &Value, like: &Value) -> Value {
        let (batch, one) = (self.sizes(like, 0, 1), self.integers(&[1, 1]));
        let shape = self.node(
            "Concat",
            &[&batch.name, &one],
            &[Attribute::Int("axis", 0)],
            0,
        );
        self.node("Expand", &[&x.name, &shape.name], &[], x.channels)
    }

    /// Sizes of a value's axes from one on up to another.
    pub(crate) fn sizes(&mut self, x: &Value, from: i64, to: i64) -> Value {
        let shape = self.node("Shape", &[&x.name], &[], 0);
        let (from, to) = (self.integers(&[from]), self.integers(&[to]));
        self.node("Slice", &[&shape.name, &from, &to], &[], 0)
    }

    /// How long an axis of a value is.
    pub(crate) fn size(&mut self, x: &Value, axis: i64) -> Value {
        let shape = self.node("Shape", &[&x.name], &[], 0);
        let axis = self.integer(axis);
        self.node(
            "Gather",
            &[&shape.name, &axis],
            &[Attribute::Int("axis", 0)],
            0,
        )
    }

    pub(crate) fn cast(&mut self, x: &Value, to: DataType) -> Value {
        self.node(
            "Cast",
            &[&x.name],
            &[Attribute::Int("to", to as i64)],
            x.channels,
        )
    }

    /// Repeats each pixel twice each way.
    pub(crate) fn enlarge(&mut self, x: &Value) -> Value {
        let scales = self.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = [
            Attribute::Text("coordinate_transformation_mode", "asymmetric"),
            Attribute::Text("mode", "nearest"),
            Attribute::Text("nearest_mode", "floor"),
        ];
        self.node("Resize", &[&x.name, "", &scales], &attributes, x.channels)
    }

    pub(crate) fn silu(&mut self, x: &Value) -> Value {
        let sigmoid = self.node("Sigmoid", &[&x.name], &[], x.channels);
        self.node("Mul", &[&x.name, &sigmoid.name], &[], x.channels)
    }

    /// x·σ(1.702·x): OpenAI's CLIP.
    pub(crate) fn quick_gelu(&mut self, x: &Value) -> Value {
        let scaled = self.multiply(x, 1.702);
        let sigmoid = self.node("Sigmoid", &[&scaled.name], &[], x.channels);
        self.node("Mul", &[&x.name, &sigmoid.name], &[], x.channels)
    }

    /// ½·x·(1 + erf(x/√2)) (arXiv 1606.08415).
    pub(crate) fn gelu(&mut self, x: &Value) -> Value {
        let scaled = self.divide(x, std::f32::consts::SQRT_2);
        let erf = self.node("Erf", &[&scaled.name], &[], x.channels);
        let one_more = self.plus(&erf, 1.0);
        let product = self.node("Mul", &[&x.name, &one_more.name], &[], x.channels);
        self.multiply(&product, 0.5)
    }

    /// GELU by its approximation: ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) (arXiv 1606.08415).
    pub(crate) fn gelu_tanh(&mut self, x: &Value) -> Value {
        let three = self.floats(&[], &[3.0]);
        let cube = self.node("Pow", &[&x.name, &three], &[], x.channels);
        let cube = self.multiply(&cube, 0.044715);
        let sum = self.add(x, &cube);
        let scaled = self.multiply(&sum, (2.0 / std::f32::consts::PI).sqrt());
        let tanh = self.node("Tanh", &[&scaled.name], &[], x.channels);
        let one_more = self.plus(&tanh, 1.0);
        let product = self.node("Mul", &[&x.name, &one_more.name], &[], x.channels);
        self.multiply(&product, 0.5)
    }

    /// Attention of several heads, all `[batch, tokens, features]` (arXiv 1706.03762). `mask` is added to the scores.
    pub(crate) fn attention(
        &mut self,
        query: &Value,
        key: &Value,
        value: &Value,
        heads: usize,
        mask: Option<&Value>,
    ) -> Result<Value, ImportError> {
        let width = query.channels / heads.max(1);
        let scale = Some(1.0 / (width as f32).sqrt());
        self.scaled_attention([query, key, value], heads, scale, mask)
    }

    /// The same with another factor for the scores, or none.
    pub(crate) fn scaled_attention(
        &mut self,
        [query, key, value]: [&Value; 3],
        heads: usize,
        scale: Option<f32>,
        mask: Option<&Value>,
    ) -> Result<Value, ImportError> {
        let query = self.heads(query, heads)?;
        let (key, value) = (self.heads(key, heads)?, self.heads(value, heads)?);
        Ok(self.attend(&query, &key, &value, heads, scale, mask))
    }

    /// The features of each head: `[batch, tokens, features]` to `[batch, tokens, heads, width]`.
    pub(crate) fn heads(&mut self, x: &Value, heads: usize) -> Result<Value, ImportError> {
        let width = x.channels / heads.max(1);
        if width * heads != x.channels {
            let features = x.channels;
            return Err(self.misconfigured(format_args!(
                "{features} features cannot be {heads} heads of attention"
            )));
        }
        Ok(self.reshape(x, &[0, 0, heads as i64, width as i64], width))
    }

    /// Attention of queries, keys and values, all `[batch, tokens, heads, width]`; gives `[batch, tokens, features]`.
    pub(crate) fn attend(
        &mut self,
        query: &Value,
        key: &Value,
        value: &Value,
        heads: usize,
        scale: Option<f32>,
        mask: Option<&Value>,
    ) -> Value {
        let mut query = self.transpose(query, &[0, 2, 1, 3]);
        if let Some(scale) = scale {
            query = self.multiply(&query, scale);
        }
        let key = self.transpose(key, &[0, 2, 3, 1]);
        let value = self.transpose(value, &[0, 2, 1, 3]);
        let mut scores = self.node("MatMul", &[&query.name, &key.name], &[], 0);
        if let Some(mask) = mask {
            scores = self.add(&scores, mask);
        }
        let shares = self.node("Softmax", &[&scores.name], &[Attribute::Int("axis", -1)], 0);
        let mixed = self.node("MatMul", &[&shares.name, &value.name], &[], value.channels);
        let mixed = self.transpose(&mixed, &[0, 2, 1, 3]);
        let features = heads * value.channels;
        self.reshape(&mixed, &[0, 0, features as i64], features)
    }

    /// Turns each two neighbours of the last axis by the angle of their token (arXiv 2104.09864); `x` is `[batch, tokens, heads,
    /// width]`, cosines and sines `[1, tokens, 1, width]`.
    pub(crate) fn rotated(&mut self, x: &Value, cos: &Value, sin: &Value) -> Value {
        let (axis, step, end) = (
            self.integers(&[3]),
            self.integers(&[2]),
            self.integers(&[i64::MAX]),
        );
        let mut every_other = |first: i64| {
            let first = self.integers(&[first]);
            self.node(
                "Slice",
                &[&x.name, &first, &end, &axis, &step],
                &[],
                x.channels / 2,
            )
        };
        let (first, second) = (every_other(0), every_other(1));
        let second = self.node("Neg", &[&second.name], &[], second.channels);
        let (second, first) = (
            self.unsqueeze(&second, &[-1]),
            self.unsqueeze(&first, &[-1]),
        );
        let pairs = self.concat(&[&second, &first], -1);
        let (sizes, rest) = (self.sizes(&pairs, 0, 3), self.integers(&[-1]));
        let shape = self.node(
            "Concat",
            &[&sizes.name, &rest],
            &[Attribute::Int("axis", 0)],
            0,
        );
        let turned = self.node("Reshape", &[&pairs.name, &shape.name], &[], x.channels);
        let plain = self.node("Mul", &[&x.name, &cos.name], &[], x.channels);
        let turned = self.node("Mul", &[&turned.name, &sin.name], &[], x.channels);
        self.add(&plain, &turned)
    }

    /// Divides each token by the root of its mean square (arXiv 1910.07467).
    pub(crate) fn rms_norm(
        &mut self,
        layer: &str,
        x: &Value,
        epsilon: f32,
    ) -> Result<Value, ImportError> {
        let name = format!("{layer}.weight");
        let [features] = self.weight_of(&name)?;
        self.fits(&name, features, x)?;
        let scale = self.parameter(&name, Stored::AsIs, None);
        let two = self.floats(&[], &[2.0]);
        let squares = self.node("Pow", &[&x.name, &two], &[], x.channels);
        let mean = [
            Attribute::Ints("axes", &[-1]),
            Attribute::Int("keepdims", 1),
        ];
        let mean = self.node("ReduceMean", &[&squares.name], &mean, 1);
        let mean = self.plus(&mean, epsilon);
        let root = self.node("Sqrt", &[&mean.name], &[], 1);
        let normed = self.node("Div", &[&x.name, &root.name], &[], x.channels);
        Ok(self.node("Mul", &[&normed.name, &scale], &[], x.channels))
    }

    /// A picture's pixels as tokens: `[b, c, h, w]` to `[b, h·w, c]`.
    pub(crate) fn tokens(&mut self, x: &Value) -> Value {
        let last = self.transpose(x, &[0, 2, 3, 1]);
        self.reshape(&last, &[0, -1, x.channels as i64], x.channels)
    }

    /// Tokens as the pixels of a picture as large as `like`.
    pub(crate) fn pixels(&mut self, tokens: &Value, like: &Value) -> Value {
        let (batch, sides) = (self.sizes(like, 0, 1), self.sizes(like, 2, 4));
        let channels = self.integers(&[tokens.channels as i64]);
        let shape = self.node(
            "Concat",
            &[&batch.name, &sides.name, &channels],
            &[Attribute::Int("axis", 0)],
            0,
        );
        let last = self.node(
            "Reshape",
            &[&tokens.name, &shape.name],
            &[],
            tokens.channels,
        );
        self.transpose(&last, &[0, 3, 1, 2])
    }
}
