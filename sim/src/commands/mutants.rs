//! `mutants`: the store broken on purpose.

use quorate_sim::group::mutant::GroupMutant;
use quorate_sim::mutant::Mutant;
use quorate_sim::world::Failure;

use super::seeds::{World, Worlds};

/// Breaks the store in each known way; all must be noticed.
pub(crate) fn mutants(worlds: Worlds, seeds: u64, only: Option<&str>) -> bool {
    // A mistake may make the node itself stop; that is told as one line, too.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    worlds.each(|world| match world {
        World::One => {
            let mutants = Mutant::ALL.into_iter().map(|it| (format!("{it:?}"), it));
            all_caught(mutants.filter(|it| wanted(&it.0)), |it| it.first_caught(seeds))
        }
        World::Group => {
            let mutants = GroupMutant::all().into_iter().map(|it| (format!("{it:?}"), it));
            all_caught(mutants.filter(|it| wanted(&it.0)), |it| it.first_caught())
        }
    })
}

fn all_caught<M>(
    mutants: impl Iterator<Item = (String, M)>,
    first_caught: impl Fn(M) -> Option<Failure>,
) -> bool {
    let mut all_caught = true;
    for (name, mutant) in mutants {
        match first_caught(mutant) {
            Some(failure) => println!("{name} is caught by {failure}"),
            None => {
                println!("{name} is NOT caught");
                all_caught = false;
            }
        }
    }
    all_caught
}
