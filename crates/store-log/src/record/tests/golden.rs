//! The bytes of some records, pinned: a store that was written once is read for ever.
