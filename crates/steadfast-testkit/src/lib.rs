//! A fake machine with fault switches, and the laws that every kind must pass.
