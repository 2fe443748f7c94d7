//! What the repository promises about itself: the dependency rule, the vendor fences, documents
//! that are made from the code, and that what operators are given fits together.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

mod dependencies;
mod deploy;
mod documents;
mod metrics;
