//! The seeds of `fuzz/`, for the property tests of the same bodies.

#[path = "../fuzz/fuzz_targets/cuts.rs"]
pub(crate) mod cuts;

use std::path::Path;

/// What lies in the folder of a target.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let entries = std::fs::read_dir(folder).unwrap();
    let seeds = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let seeds: Vec<Vec<u8>> = seeds.collect();
    assert!(seeds.len() >= 3, "{target} has hardly any seeds");
    seeds
}
