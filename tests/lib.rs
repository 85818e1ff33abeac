//! This package has tests only; see `it/`.
