//! An engine's memory: taken from Rust's allocator, and counted as work.
//!
//! The engine copies lists, texts and keys in single steps, and looks at no limit
//! meanwhile. What it copies it first takes memory for: there the meter can stop it.
//!
//! Not here: how much memory there may be at once, which the engine bounds itself
//! ([`ScriptLimits::memory`](super::ScriptLimits::memory)).

use std::rc::Rc;

use rquickjs::allocator::{Allocator, RustAllocator};

use super::meter::Meter;

/// The most bytes at once, enough for a list of ten thousand endpoints. What is as long as
/// that can be compared, or copied, in a single step that no limit sees.
pub(super) const AT_ONCE: usize = 256 << 10;

/// Gives no more memory once a limit is reached.
pub(super) struct MeteredMemory {
    meter: Rc<Meter>,
    rust: RustAllocator,
}

impl MeteredMemory {
    pub(super) fn new(meter: Rc<Meter>) -> Self {
        MeteredMemory { meter, rust: RustAllocator }
    }

    fn may(&self, bytes: usize) -> bool {
        bytes <= AT_ONCE && self.meter.take(bytes)
    }
}

// SAFETY: hands everything on to an allocator that keeps the promises, or answers with
// null, which each of these functions may.
unsafe impl Allocator for MeteredMemory {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        match self.may(size) {
            true => self.rust.alloc(size),
            false => std::ptr::null_mut(),
        }
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        match count.checked_mul(size) {
            Some(all) if self.may(all) => self.rust.calloc(count, size),
            _ => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&mut self, ptr: *mut u8) {
        // SAFETY: the caller's promise is handed on.
        unsafe { self.rust.dealloc(ptr) }
    }

    unsafe fn realloc(&mut self, ptr: *mut u8, new_size: usize) -> *mut u8 {
        match self.may(new_size) {
            // SAFETY: the caller's promise is handed on.
            true => unsafe { self.rust.realloc(ptr, new_size) },
            false => std::ptr::null_mut(),
        }
    }

    unsafe fn usable_size(ptr: *mut u8) -> usize {
        // SAFETY: the caller's promise is handed on.
        unsafe { RustAllocator::usable_size(ptr) }
    }
}
