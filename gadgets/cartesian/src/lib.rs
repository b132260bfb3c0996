//! Reconstruction of Cartesian k-space.
