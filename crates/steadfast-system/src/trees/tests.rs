//! Tests of trees as a whole.
