//! Random streams addressed by purpose: a path of names and numbers, hashed to the key of a ChaCha8 generator.

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::philox::Philox;

/// An address in the tree of random streams.
///
/// Two different paths give independent streams; the same path always gives the same numbers, whatever else was drawn
/// before. The key of a child is `SHA-256(key ‖ tag ‖ value)`, with tag `p`, the length of the name (u64, little
/// endian) and the name for [`purpose`](Self::purpose), tag `i` and the number (u64, little endian) for
/// [`index`](Self::index). Values are pinned by tests: changing them changes every result of the project.
///
/// ```
/// use dal_core::SeedPath;
/// let pool = SeedPath::root(7).purpose("pool");
/// assert_eq!(pool.index(3), SeedPath::root(7).purpose("pool").index(3));
/// assert_ne!(pool.index(3), pool.index(4));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeedPath {
    key: [u8; 32],
}

impl SeedPath {
    /// The root of a tree of streams.
    pub fn root(seed: u64) -> Self {
        Self { key: digest(&[b"dal", &seed.to_le_bytes()]) }
    }

    /// The child with this name: one per use of randomness (`"initial"`, `"candidates"`, `"weights"`).
    #[must_use]
    pub fn purpose(&self, name: &str) -> Self {
        Self { key: digest(&[&self.key, b"p", &(name.len() as u64).to_le_bytes(), name.as_bytes()]) }
    }

    /// The child with this number: a seed, a step, a member.
    #[must_use]
    pub fn index(&self, index: u64) -> Self {
        Self { key: digest(&[&self.key, b"i", &index.to_le_bytes()]) }
    }

    /// The sequential generator of this path, ChaCha8.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.key)
    }

    /// The counter-based generator of this path, for numbers that a device computes from their address.
    pub fn philox(&self) -> Philox {
        Philox::new([self.word(0), self.word(1)])
    }

    fn word(&self, i: usize) -> u32 {
        u32::from_le_bytes([self.key[4 * i], self.key[4 * i + 1], self.key[4 * i + 2], self.key[4 * i + 3]])
    }
}

impl fmt::Debug for SeedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeedPath({:08x}{:08x}…)", self.word(0).swap_bytes(), self.word(1).swap_bytes())
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The streams of one trial, so that competitors share what they must share.
///
/// | stream | path |
/// |---|---|
/// | test set | problem |
/// | initial set | problem, seed |
/// | candidates | problem, seed, step |
/// | fit (weights, dropout masks, pairings; the member comes below) | problem, seed, step |
/// | strategy | problem, seed, step |
/// | course (a design over all steps) | problem, seed |
///
/// Neither strategy nor pool ratio is in a path: runs that differ only in those start from the same points and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialSeeds {
    problem: SeedPath,
    trial: SeedPath,
}

impl TrialSeeds {
    /// The streams of repetition `seed` of the problem with this id (with its settings, if they change what is drawn).
    pub fn new(problem: &str, seed: u64) -> Self {
        let problem = SeedPath::root(0).purpose("problem").purpose(problem);
        Self { problem, trial: problem.purpose("trial").index(seed) }
    }

    /// The test set's stream: the same for every repetition.
    pub fn test(&self) -> SeedPath {
        self.problem.purpose("test")
    }

    /// The initial labelled set's stream.
    pub fn initial(&self) -> SeedPath {
        self.trial.purpose("initial")
    }

    /// The candidates' stream of a step. A pool is a prefix of it.
    pub fn candidates(&self, step: usize) -> SeedPath {
        self.trial.purpose("candidates").index(step as u64)
    }

    /// The stream of the training that precedes this step; engines go on with `purpose("weights").index(member)` and
    /// the like.
    pub fn fit(&self, step: usize) -> SeedPath {
        self.trial.purpose("fit").index(step as u64)
    }

    /// The strategy's stream for all steps together: a design that goes on from step to step.
    pub fn course(&self) -> SeedPath {
        self.trial.purpose("course")
    }

    /// The strategy's stream of a step.
    pub fn strategy(&self, step: usize) -> SeedPath {
        self.trial.purpose("strategy").index(step as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn values_are_pinned() {
        let path = SeedPath::root(42).purpose("pool").index(3);
        assert_eq!(format!("{:?}", SeedPath::root(0)), PINNED_ROOT);
        let mut rng = path.rng();
        assert_eq!([rng.next_u64(), rng.next_u64()], PINNED_STREAM);
        assert_eq!(path.philox().block([0, 0, 0, 0]), PINNED_PHILOX);
    }
    // Computed outside Rust, from the definitions of SHA-256, ChaCha8 and Philox.
    const PINNED_ROOT: &str = "SeedPath(1741fe4e428892a4…)";
    const PINNED_STREAM: [u64; 2] = [14907943676474822071, 12939867168795963257];
    const PINNED_PHILOX: [u32; 4] = [1504492009, 2982419660, 1703915313, 2951710526];

    #[test]
    fn names_and_numbers_do_not_collide() {
        let root = SeedPath::root(1);
        let paths = [
            root,
            root.purpose(""),
            root.purpose("a"),
            root.purpose("ab"),
            root.purpose("a").purpose("b"),
            root.index(0),
            root.index(1),
            root.index(0).index(1),
            SeedPath::root(0),
        ];
        for (i, a) in paths.iter().enumerate() {
            for b in &paths[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn trials_share_the_test_set_and_nothing_else() {
        let (a, b) = (TrialSeeds::new("sine", 0), TrialSeeds::new("sine", 1));
        assert_eq!(a.test(), b.test());
        assert_ne!(a.initial(), b.initial());
        assert_ne!(a.candidates(0), a.candidates(1));
        assert_ne!(a.fit(0), a.strategy(0));
        assert_ne!(a.test(), TrialSeeds::new("robo", 0).test());
    }
}
