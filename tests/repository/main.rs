//! What the repository promises about itself: the dependency rule, the vendor fences, and documents
//! that are made from the code.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod dependencies;
mod documents;
