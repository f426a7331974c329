//! An allocator that counts what the worker threads ask for.
//!
//! `unsafe`, because that is what the trait of allocators is: every request is
//! handed to the system's allocator as it came.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, counted.
pub struct Counting;

/// What the workers have asked for.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// How often, growing included.
    pub allocations: u64,
    /// The most at once, in bytes, since it was last forgotten.
    pub largest: usize,
    /// Bytes that they have not given back.
    pub held: i64,
}

impl Counts {
    pub fn now() -> Counts {
        let allocations = ALLOCATIONS.load(Ordering::Relaxed);
        let largest = LARGEST.load(Ordering::Relaxed);
        Counts { allocations, largest, held: HELD.load(Ordering::Relaxed) }
    }

    pub fn since(self, before: Counts) -> Counts {
        let allocations = self.allocations - before.allocations;
        Counts { allocations, held: self.held - before.held, ..self }
    }

    pub fn forget_largest() {
        LARGEST.store(0, Ordering::Relaxed);
    }
}

/// Whether this thread is a proxy's worker. Allocates nothing: it is asked from
/// inside the allocator.
fn is_worker() -> bool {
    thread_local! {
        static KNOWN: Cell<Option<bool>> = const { Cell::new(None) };
    }
    // A thread that ends has no such memory any more, and counts no more.
    KNOWN
        .try_with(|known| {
            known.get().unwrap_or_else(|| {
                let mut name = [0_u8; 16];
                // SAFETY: the buffer is as long as is said, which is as long as a
                // thread's name can be.
                let got = unsafe {
                    libc::pthread_getname_np(
                        libc::pthread_self(),
                        name.as_mut_ptr().cast(),
                        name.len(),
                    )
                };
                let worker = got == 0 && name.starts_with(b"worker-");
                // A thread gets its name only after it began.
                if worker {
                    known.set(Some(true));
                }
                worker
            })
        })
        .unwrap_or(false)
}

/// A block of `size` bytes is asked for, in place of one of `before`.
fn count(before: usize, size: usize) {
    if is_worker() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LARGEST.fetch_max(size, Ordering::Relaxed);
        HELD.fetch_add(size as i64 - before as i64, Ordering::Relaxed);
    }
}

fn count_back(size: usize) {
    if is_worker() {
        HELD.fetch_sub(size as i64, Ordering::Relaxed);
    }
}

// SAFETY: `System` keeps the contract of the trait, and gets exactly what came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count_back(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
