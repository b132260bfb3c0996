//! The models that are part of the program.

use inference::BuiltIn;

/// Those of `gadgets/model/models`.
pub const BUILT_IN: &[BuiltIn] = &[];
