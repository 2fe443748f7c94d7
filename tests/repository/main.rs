//! What the repository promises about itself: the dependency rule, the vendor fences, and documents
//! that are made from the code.

mod dependencies;
mod documents;
