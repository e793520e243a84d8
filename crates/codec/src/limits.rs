//! What an event may hold in every form, beside the limits of the core.

/// How deep lists, maps and structs may lie in each other in an event, in every form: 127.
///
/// A variant of an enum with fields counts as two, one that holds one value as one. In forms that don't
/// describe themselves an option that holds a value counts as one.
pub const DEPTH_MAX: usize = 127;

/// How many elements of lists and maps an event may have beyond one for every byte of its payload: 65,536.
///
/// A unit has no bytes in bincode and postcard, so a few hostile bytes could ask for any number of them.
pub const ELEMENTS_WITHOUT_BYTES_MAX: usize = 65_536;

/// How many bytes of memory the elements of lists and maps may take for every byte of the payload, beyond
/// [`ELEMENTS_MEMORY_BYTES_FREE`]: 32.
///
/// An element that has few bytes or none may be large in memory, as a struct of fields that are mostly left
/// out. An element counts with its size in its list, not with what it points to, which has elements of its own
/// or bytes.
pub const ELEMENTS_MEMORY_RATIO_MAX: usize = 32;

/// How many bytes of memory the elements of lists and maps may take in any case: 64 MiB.
pub const ELEMENTS_MEMORY_BYTES_FREE: usize = 64 << 20;
