//! Makes a model directory from a checkpoint, on the board itself.
//!
//! ```text
//! folder of diffusers ─┐
//! single file ─────────┼─► Checkpoint ─► networks/: the graph, from configuration and weights' shapes ─► writer: int8, in order
//! hub (downloaded) ────┘                                                                                        │
//! folder of ONNX files ──────────────────────────────────────────────────────────────► its weights anew ───────►┴► model directory
//! ```

mod checkpoint;
mod error;
mod safetensors;
mod weights;

pub use error::ImportError;
