//! Memory for outputs: that of inputs which nobody reads any more.
//!
//! Fresh memory is slow: the system clears each page when it is first touched, which for the images of a decoder takes as
//! long as their convolutions. Networks use the same few sizes again and again, so what an operator has read for the last
//! time is kept, a little of it, until one of its size is asked for.

use std::cell::RefCell;

use tract_core::internal::*;

/// Smaller tensors come from the allocator fast enough.
const SMALLEST: usize = 16 << 10;

#[derive(Default)]
struct Buffers {
    /// The one that was given last is last.
    kept: Vec<Tensor>,
    /// Bytes of the largest output so far: so much may be kept.
    largest: usize,
}

thread_local! {
    /// Of the thread that a network runs on.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// An f32 tensor with anything in it.
pub(super) fn take(shape: &[usize]) -> TractResult<Tensor> {
    let len: usize = shape.iter().product();
    BUFFERS.with_borrow_mut(|buffers| {
        buffers.largest = buffers.largest.max(len * size_of::<f32>());
        let found = buffers.kept.iter().rposition(|tensor| tensor.len() == len);
        match found.map(|index| buffers.kept.remove(index)) {
            Some(mut tensor) => {
                tensor.set_shape(shape)?;
                Ok(tensor)
            }
            None => Tensor::zero::<f32>(shape),
        }
    })
}

/// Keeps the memory of values that nobody else has.
pub(super) fn give(values: TVec<TValue>) {
    BUFFERS.with_borrow_mut(|buffers| {
        for value in values {
            if value.is_exclusive()
                && value.datum_type() == f32::datum_type()
                && bytes(&value) >= SMALLEST
            {
                buffers.kept.push(value.into_tensor());
            }
        }
        let mut kept: usize = buffers.kept.iter().map(bytes).sum();
        // The largest is never more than the limit, so the newest stays.
        while kept > buffers.largest && !buffers.kept.is_empty() {
            kept -= bytes(&buffers.kept.remove(0));
        }
    });
}

/// Frees what is kept.
pub(in crate::runtime) fn clear() {
    BUFFERS.take();
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.len() * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_nobody_reads_is_taken_again_and_no_more_than_an_output_is_kept() {
        clear();
        let first = take(&[64, 128]).expect("memory");
        let place = first
            .try_as_plain_ram()
            .expect("plain")
            .as_slice::<f32>()
            .expect("f32")
            .as_ptr();
        let shared: TValue = first.into();
        give(tvec![shared.clone()]);
        assert_eq!(
            BUFFERS.with_borrow(|b| b.kept.len()),
            0,
            "somebody has it still"
        );
        give(tvec![shared]);
        let again = take(&[128, 64]).expect("memory");
        let data = again
            .try_as_plain_ram()
            .expect("plain")
            .as_slice::<f32>()
            .expect("f32")
            .as_ptr();
        assert_eq!((data, again.shape()), (place, &[128, 64][..]));
        give(tvec![
            again.into(),
            Tensor::zero::<f32>(&[64, 128]).expect("memory").into()
        ]);
        assert_eq!(BUFFERS.with_borrow(|b| b.kept.len()), 1);
        clear();
        assert_eq!(BUFFERS.with_borrow(|b| b.kept.len()), 0);
    }
}
