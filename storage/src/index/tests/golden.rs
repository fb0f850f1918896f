//! The files' bytes, held fast: a change here is a new version of the format.

use super::{Model, Process};
use crate::disk::simulated::Medium;
use crate::index::{IndexLimits, manifest};
use crate::test_golden;

#[test]
fn bytes_are_what_they_were() {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    process.apply(&model.append(&["a", "b", "a"]));
    process.apply(&model.append(&["a", "c", "b", "a", "d"]));
    process.settle().unwrap();
    let run = medium.contents("index/0000000000000000.run");
    test_golden::check("index-run.hex", &run);
    test_golden::check("index-manifest.hex", &medium.contents(manifest::NAME));
}
