//! Workspace-wide laws of annals as property tests
