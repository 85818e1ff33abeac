//! Orders, plans, checks, converges and judges promises.
