//! Asking for memory before it is read.

/// Bytes that come to the caches together.
const LINE: usize = 64;

/// Asks for what `numbers` lie in; without an effect where that cannot be asked for.
#[inline]
pub(super) fn prefetch<T>(numbers: &[T]) {
    if let Some(first) = numbers.first() {
        (0..size_of_val(numbers)).step_by(LINE).for_each(|bytes| prefetch_after(first, bytes));
    }
}

/// Asks for what lies so many bytes after `place`, whatever that is.
#[inline(always)]
pub(super) fn prefetch_after<T>(place: &T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has SSE, and no address makes this fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast::<i8>().wrapping_add(bytes)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (place, bytes);
}
