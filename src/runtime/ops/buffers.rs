//! Memory for outputs: that of inputs which nobody reads any more.
//!
//! Fresh memory is slow: the system clears each page when it is first touched, which for the images of a decoder takes as
//! long as their convolutions. Networks use the same few sizes again and again, so what an operator has read for the last
//! time is kept until one of its size is asked for, as far as there is room: see [`footprint`](crate::runtime::footprint).

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use easel_kernels::heap;
use easel_kernels::quantize::Quantized;
use tract_core::internal::*;

/// Smaller tensors come from the allocator fast enough.
const SMALLEST: usize = 16 << 10;

/// What a network keeps from one node to the next, and from one run to the next.
#[derive(Default)]
pub(in crate::runtime) struct Buffers {
    /// The one that was given last is last.
    kept: Vec<Tensor>,
    /// Bytes that may be kept while the node that runs now does.
    room: usize,
    /// The same before its output is there.
    limit: usize,
    /// Whether anything is kept: not if the heap is fast by itself.
    keeps: bool,
    /// Activations as products read them, and what rounding left of them.
    quantized: [Quantized; 2],
}

thread_local! {
    /// Of the network that runs on this thread.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Runs a network with its own buffers, on this thread.
pub(in crate::runtime) fn with<R>(own: &Mutex<Buffers>, keeps: bool, run: impl FnOnce() -> R) -> R {
    let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
    own.keeps = keeps;
    let before = BUFFERS.replace(std::mem::take(&mut own));
    let result = run();
    *own = BUFFERS.replace(before);
    result
}

/// Does something with the memory for quantized activations.
pub(super) fn with_quantized<R>(what: impl FnOnce(&mut [Quantized; 2]) -> R) -> R {
    let mut quantized = BUFFERS.with_borrow_mut(|buffers| std::mem::take(&mut buffers.quantized));
    let result = what(&mut quantized);
    BUFFERS.with_borrow_mut(|buffers| buffers.quantized = quantized);
    result
}

impl Buffers {
    /// Frees the oldest until no more than so many bytes are kept.
    fn shrink(&mut self, room: usize) {
        let mut kept: usize = self.kept.iter().map(bytes).sum();
        let mut leave = 0;
        while kept > room {
            kept -= bytes(&self.kept[leave]);
            leave += 1;
        }
        if leave > 0 {
            self.kept.drain(..leave);
            // It may have come from a gap in the heap, and gone back there.
            heap::trim();
        }
    }
}

/// A node begins that leaves room for so many bytes beside all that is alive, its output included, which is so large.
pub(in crate::runtime) fn begin(room: usize, output: usize) {
    BUFFERS.with_borrow_mut(|buffers| {
        buffers.room = room;
        // What is kept may become the output, and nothing else.
        let fits = buffers.kept.iter().any(|tensor| bytes(tensor) == output);
        buffers.limit = if fits { room + output } else { room };
        buffers.shrink(buffers.limit);
    });
}

/// An f32 tensor with anything in it.
pub(super) fn take(shape: &[usize]) -> TractResult<Tensor> {
    let len: usize = shape.iter().product();
    let found = BUFFERS.with_borrow_mut(|buffers| {
        let found = buffers.kept.iter().rposition(|tensor| tensor.len() == len);
        let found = found.map(|index| buffers.kept.remove(index));
        buffers.shrink(buffers.room);
        found
    });
    match found {
        Some(mut tensor) => {
            tensor.set_shape(shape)?;
            Ok(tensor)
        }
        None => Tensor::zero::<f32>(shape),
    }
}

/// Keeps the memory of values that nobody else has.
pub(super) fn give(values: TVec<TValue>) {
    BUFFERS.with_borrow_mut(|buffers| {
        for value in values {
            if value.is_exclusive()
                && value.datum_type() == f32::datum_type()
                && bytes(&value) >= SMALLEST
                && buffers.keeps
            {
                buffers.kept.push(value.into_tensor());
            }
        }
        buffers.shrink(buffers.limit);
    });
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.len() * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tensor: &Tensor) -> *const f32 {
        let plain = tensor.try_as_plain_ram().expect("plain");
        plain.as_slice::<f32>().expect("f32").as_ptr()
    }

    fn kept() -> usize {
        BUFFERS.with_borrow(|buffers| buffers.kept.len())
    }

    #[test]
    fn memory_that_nobody_reads_is_taken_again_as_far_as_there_is_room() {
        BUFFERS.take();
        let size = 64 * 128 * size_of::<f32>();
        BUFFERS.with_borrow_mut(|buffers| buffers.keeps = true);
        begin(2 * size, size);
        let first = take(&[64, 128]).expect("memory");
        let at = place(&first);
        let shared: TValue = first.into();
        give(tvec![shared.clone()]);
        assert_eq!(kept(), 0, "somebody has it still");
        give(tvec![shared]);
        let again = take(&[128, 64]).expect("memory");
        assert_eq!((place(&again), again.shape()), (at, &[128, 64][..]));
        let zeros = || Tensor::zero::<f32>(&[64, 128]).expect("memory").into();
        begin(2 * size, size);
        give(tvec![again.into(), zeros(), zeros()]);
        assert_eq!(kept(), 2);
        begin(size, size);
        assert_eq!(kept(), 2, "one may become the output");
        take(&[3, 5]).expect("memory");
        assert_eq!(kept(), 1, "the output was another");
        begin(0, 0);
        assert_eq!(kept(), 0);
    }
}
