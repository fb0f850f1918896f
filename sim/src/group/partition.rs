//! Shapes of broken networks: which directions of which links are cut.

use quorate_storage::disk::simulated::Random;

/// A direction of a link: from one node to another.
pub(super) type Way = (usize, usize);

/// How a network breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Two sides that don't hear each other.
    Sides,
    /// One node is alone.
    Alone,
    /// One node hears nothing, and is heard.
    Deaf,
    /// One node is not heard, and hears.
    Mute,
    /// One link is cut; all others are whole.
    OneLink,
    /// One direction of one link is cut.
    OneWay,
    /// Any directions.
    Any,
}

impl Shape {
    /// All of them.
    pub(super) const ALL: [Self; 7] =
        [Self::Sides, Self::Alone, Self::Deaf, Self::Mute, Self::OneLink, Self::OneWay, Self::Any];

    /// The directions that are cut in a group of so many nodes.
    pub(super) fn ways(self, nodes: usize, random: &mut Random) -> Vec<Way> {
        let one = random.index(nodes);
        let other = (one + 1 + random.index(nodes - 1)) % nodes;
        let sides: Vec<bool> = (0..nodes).map(|_| random.coin()).collect();
        let is_cut = |(from, to): Way, random: &mut Random| match self {
            Self::Sides => sides[from] != sides[to],
            Self::Alone => from == one || to == one,
            Self::Deaf => to == one,
            Self::Mute => from == one,
            Self::OneLink => (from, to) == (one, other) || (from, to) == (other, one),
            Self::OneWay => (from, to) == (one, other),
            Self::Any => random.coin(),
        };
        ways(nodes).filter(|way| is_cut(*way, random)).collect()
    }
}

/// Every direction of every link.
pub(super) fn ways(nodes: usize) -> impl Iterator<Item = Way> {
    (0..nodes)
        .flat_map(move |from| (0..nodes).map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shape: Shape, is_right: impl Fn(&[Way]) -> bool) {
        let mut random = Random::stream(1, "shapes");
        for _ in 0..50 {
            let ways = shape.ways(3, &mut random);
            assert!(is_right(&ways), "{shape:?}: {ways:?}");
        }
    }

    #[test]
    fn shapes_cut_what_they_say() {
        check(Shape::Sides, |ways| matches!(ways.len(), 0 | 4));
        check(Shape::Alone, |ways| ways.len() == 4);
        check(Shape::Deaf, |ways| ways.len() == 2 && ways[0].1 == ways[1].1);
        check(Shape::Mute, |ways| ways.len() == 2 && ways[0].0 == ways[1].0);
        check(Shape::OneLink, |ways| ways.len() == 2 && ways[0] == (ways[1].1, ways[1].0));
        check(Shape::OneWay, |ways| ways.len() == 1);
        check(Shape::Any, |ways| ways.len() <= 6);
    }
}
