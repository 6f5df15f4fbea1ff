//! What becomes of a command that the system gives no memory to: it says so and ends, where a Rust program aborts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

/// The system's allocator, which never returns without memory.
pub struct Allocator;

// SAFETY: every call is the system allocator's own, with the arguments that the caller answers for; ending the process
// instead of returning null breaks no promise of the trait.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        had(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        had(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        had(unsafe { System.realloc(old, layout, size) }, size)
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(old, layout) }
    }
}

fn had(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() && size > 0 {
        end(size);
    }
    memory
}

/// Nothing here may ask for memory. What the command had finished is on disk, as after a kill, and no run is recorded
/// as failed.
#[cold]
fn end(size: usize) -> ! {
    let mut text = [0; 256];
    let length = {
        let mut rest = &mut text[..];
        let _ = writeln!(
            rest,
            "error: there is no memory for another {size} bytes; what is finished is kept, and the same command goes on: \
             give it fewer --jobs, fewer points or more memory"
        );
        256 - rest.len()
    };
    tell(&text[..length]);
    std::process::exit(2)
}

/// Past the lock of standard error, which this thread may hold.
#[cfg(unix)]
fn tell(text: &[u8]) {
    use std::os::fd::FromRawFd;
    // SAFETY: the descriptor of standard error is written to, and not closed by a drop.
    let out = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(2) });
    let _ = (&*out).write_all(text);
}

#[cfg(not(unix))]
fn tell(text: &[u8]) {
    let _ = std::io::stderr().write_all(text);
}
