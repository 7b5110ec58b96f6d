//! An IP-Adapter's part of a U-Net (arXiv 2308.06721): tokens made of a picture, which attention sees beside the text.
//!
//! Plain, a linear layer makes them of the picture as a whole; "Plus", a resampler of its patches (diffusers' `ImageProjection`,
//! `IPAdapterPlusImageProjection`).

use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Axis, BATCH, Graph, Stored, Value};
use super::transformer;

/// Where diffusers keeps the first adapter's layers in a U-Net.
pub(crate) const PROJECTION: &str = "encoder_hid_proj.image_projection_layers.0";
/// Features of a head of the resampler's attention.
const HEAD: usize = 64;
/// The resampler's norms have torch's.
const EPSILON: f32 = 1e-5;

/// What attention sees of a picture.
pub(super) struct ImagePrompt {
    pub(super) tokens: Value,
    /// How much it counts.
    pub(super) scale: Value,
}

impl ImagePrompt {
    /// Of a U-Net that has an adapter; makes its inputs. `patches`: vectors that the image encoder of a "Plus" gives.
    pub(super) fn told(graph: &mut Graph<'_>, patches: usize) -> Result<Option<Self>, ImportError> {
        let plain = format!("{PROJECTION}.image_embeds");
        let tokens = if graph.has(&format!("{plain}.weight")) {
            projected(graph, &plain)?
        } else if graph.has(&format!("{PROJECTION}.latents")) {
            resampled(graph, patches)?
        } else {
            return Ok(None);
        };
        let scale = graph.input("ip_adapter_scale", DataType::Float, &[]);
        Ok(Some(Self { tokens, scale }))
    }

    /// What a query sees of the picture, beside what it sees of the text.
    pub(super) fn beside(
        &self,
        graph: &mut Graph<'_>,
        at: &str,
        query: &Value,
        seen: &Value,
        heads: usize,
    ) -> Result<Value, ImportError> {
        let of = |graph: &mut Graph<'_>, part: &str| {
            graph.linear(&format!("{at}.processor.{part}.0"), &self.tokens)
        };
        let (key, value) = (of(graph, "to_k_ip")?, of(graph, "to_v_ip")?);
        let more = graph.attention(query, &key, &value, heads, None)?;
        let more = graph.node("Mul", &[&self.scale.name, &more.name], &[], more.channels);
        Ok(graph.add(seen, &more))
    }
}

/// Tokens side by side in one linear layer's answer.
fn projected(graph: &mut Graph<'_>, layer: &str) -> Result<Value, ImportError> {
    let [all, features] = graph.weight_of(&format!("{layer}.weight"))?;
    let [width] = graph.weight_of(&format!("{PROJECTION}.norm.weight"))?;
    if all % width != 0 {
        return Err(graph.problem(format_args!(
            "its adapter makes {all} numbers of a picture, which are no tokens of {width}"
        )));
    }
    let picture = graph.input(
        "image_embeds",
        DataType::Float,
        &[BATCH, Axis::Fixed(1), Axis::Fixed(features)],
    );
    let all = graph.linear(layer, &picture)?;
    let tokens = graph.reshape(&all, &[0, -1, width as i64], width);
    graph.layer_norm(&format!("{PROJECTION}.norm"), &tokens, EPSILON)
}

/// Learned tokens that look at the picture's patches, layer by layer.
fn resampled(graph: &mut Graph<'_>, patches: usize) -> Result<Value, ImportError> {
    let [_, count, width] = graph.weight_of(&format!("{PROJECTION}.latents"))?;
    let [_, features] = graph.weight_of(&format!("{PROJECTION}.proj_in.weight"))?;
    let picture = graph.input(
        "image_embeds",
        DataType::Float,
        &[BATCH, Axis::Fixed(patches), Axis::Fixed(features)],
    );
    let seen = graph.linear(&format!("{PROJECTION}.proj_in"), &picture)?;
    let latents = graph.parameter(
        &format!("{PROJECTION}.latents"),
        Stored::Shaped(vec![1, count, width]),
        None,
    );
    let mut x = graph.for_each(
        &Value {
            name: latents,
            channels: width,
        },
        &picture,
    );
    let layers = format!("{PROJECTION}.layers");
    for number in 0..graph.count(&layers) {
        let at = format!("{layers}.{number}");
        let given = graph.layer_norm(&format!("{at}.ln0"), &seen, EPSILON)?;
        let own = graph.layer_norm(&format!("{at}.ln1"), &x, EPSILON)?;
        let all = Value {
            channels: width,
            ..graph.concat(&[&given, &own], -2)
        };
        let [inner, _] = graph.weight_of(&format!("{at}.attn.to_q.weight"))?;
        let more =
            transformer::attention(graph, &format!("{at}.attn"), &own, &all, inner / HEAD, None)?;
        x = graph.add(&more, &x);
        let more = graph.layer_norm(&format!("{at}.ff.0"), &x, EPSILON)?;
        let more = graph.linear(&format!("{at}.ff.1.net.0.proj"), &more)?;
        let more = graph.gelu(&more);
        let more = graph.linear(&format!("{at}.ff.1.net.2"), &more)?;
        x = graph.add(&more, &x);
    }
    let x = graph.linear(&format!("{PROJECTION}.proj_out"), &x)?;
    graph.layer_norm(&format!("{PROJECTION}.norm_out"), &x, EPSILON)
}
