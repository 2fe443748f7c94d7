//! What the repository promises about itself: the dependency rule, the vendor fences, documents, links,
//! what is made from the code, and that what operators are given fits together.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

mod dependencies;
mod deploy;
mod documents;
mod links;
mod metrics;
