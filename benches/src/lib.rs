//! Workloads shared by the benchmarks of annals.
