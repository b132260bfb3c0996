//! Gadgets that work on images.
