//! Brings a model to the node.
