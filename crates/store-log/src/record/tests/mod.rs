//! Records held against what they were made of, and against bytes that nobody made.

mod golden;
mod hostile;
mod round_trip;
mod sample;
