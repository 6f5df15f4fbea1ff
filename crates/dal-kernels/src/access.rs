//! Pointers with the length and lifetime of the slice they came from: what kernels are handed.

use std::marker::PhantomData;

/// Read access to a slice, or nothing.
#[derive(Clone, Copy)]
pub struct In<'a> {
    at: *const f32,
    len: usize,
    slice: PhantomData<&'a [f32]>,
}

/// Exclusive access to a slice, or nothing. Copied only inside the kernels, which run on one thread.
#[derive(Clone, Copy)]
pub struct Out<'a> {
    at: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

impl<'a> In<'a> {
    /// Nothing: the kernel leaves out what it would need it for.
    pub fn absent() -> Self {
        Self { at: std::ptr::null(), len: 0, slice: PhantomData }
    }
}

impl<'a> From<&'a [f32]> for In<'a> {
    fn from(slice: &'a [f32]) -> Self {
        Self { at: slice.as_ptr(), len: slice.len(), slice: PhantomData }
    }
}

impl<'a> Out<'a> {
    /// Nothing: the kernel leaves it out.
    pub fn absent() -> Self {
        Self { at: std::ptr::null_mut(), len: 0, slice: PhantomData }
    }

    /// The same, for reading.
    #[inline(always)]
    pub(super) fn as_in(self) -> In<'a> {
        In { at: self.at, len: self.len, slice: PhantomData }
    }
}

impl<'a> From<&'a mut [f32]> for Out<'a> {
    fn from(slice: &'a mut [f32]) -> Self {
        Self { at: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }
}

macro_rules! access {
    ($t:ident, $pointer:ty) => {
        impl $t<'_> {
            /// Whether there is nothing behind it.
            #[inline(always)]
            pub(super) fn is_absent(self) -> bool {
                self.at.is_null()
            }

            /// Pointer to element `i`.
            ///
            /// # Safety
            /// `i` is at most the slice's length.
            #[inline(always)]
            pub(super) unsafe fn add(self, i: usize) -> $pointer {
                // SAFETY: within the slice or one past its end, as the caller promises.
                unsafe { self.at.add(i) }
            }

            /// Panics unless `n` elements are there; nothing at all passes where `optional`.
            pub(super) fn require(self, n: usize, what: &str, optional: bool) {
                assert!(
                    self.len >= n || (optional && self.is_absent()),
                    "a kernel's {what} has {} elements, it needs {n}",
                    self.len
                );
            }
        }
    };
}
access!(In, *const f32);
access!(Out, *mut f32);
