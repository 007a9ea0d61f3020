//! What the trie says it holds is what the allocator gave it, to the byte.

// Counting what is allocated takes an allocator, and an allocator's trait is unsafe.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::thread;

use kvserver::trie::Trie;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

thread_local! {
    /// Per thread, as the test harness allocates in its own threads meanwhile. Signed, as a
    /// thread may also free what another allocated for it.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

#[path = "fixture/steps.rs"]
mod steps;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[test]
fn bytes_are_what_the_allocator_gave() {
    follow(|_| 0);
    follow(|_| 59);
    follow(|number| usize::try_from(number % 600).expect("below 600"));
    follow(|number| if number % 100 == 0 { 0x10000 } else { 0x100 });
}

#[test]
fn an_empty_trie_has_no_allocation() {
    let before = HELD.get();
    let trie = Trie::new();
    assert_eq!(HELD.get(), before);
    assert_eq!(trie.bytes(), 0);
    assert!(size_of_val(&trie) <= 24);
}

/// A chain of keys, each the prefix of the next, makes the deepest trie there is; on a stack this
/// small anything that recursed with it would overflow.
#[test]
fn depth_costs_no_stack() {
    let deep = || {
        let key = [b'k'; 1_024];
        let mut trie = Trie::new();
        for len in 0..=key.len() {
            assert!(trie.insert(&key[..len], &key[len..]));
        }
        let mut cursor = trie.scan_prefix(b"", None);
        for len in 0..=key.len() {
            assert_eq!(cursor.next_entry(), Some((&key[..len], &key[len..])));
        }
        for len in (0..=key.len()).step_by(2) {
            assert!(trie.remove(&key[..len]));
        }
        trie.check_invariants();
        drop(trie);
    };
    thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(deep)
        .unwrap()
        .join()
        .unwrap();
}

fn follow(value_bytes: impl Fn(u64) -> usize) {
    let value = vec![b'v'; 0x10000];
    let before = HELD.get();
    let mut random = StdRng::seed_from_u64(11);
    let mut trie = Trie::new();
    for number in 0..steps::scaled(20_000) {
        let key = key(&mut random);
        if random.random_range(0..2_000) == 0 {
            trie.clear();
        } else if number / 5_000 % 2 == 0 || random.random_range(0..10) == 0 {
            trie.insert(&key, &value[..value_bytes(number)]);
        } else {
            trie.remove(&key);
        }
        assert_eq!(HELD.get() - before, signed(trie.bytes() + key.capacity()));
    }
    trie.check_invariants();
    drop(trie);
    assert_eq!(HELD.get(), before, "all is given back");
}

/// Wide at the first byte, narrow after it, sometimes with a long tail.
fn key(random: &mut StdRng) -> Vec<u8> {
    let len = random.random_range(0..=3);
    let mut key: Vec<u8> = (0..len)
        .map(|place| random.random_range(0..=255 >> (3 * place)))
        .collect();
    if random.random_range(0..4) == 0 {
        key.resize(key.len() + 90, b'=');
    }
    key
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).expect("an allocation is smaller than half of all memory")
}
