//! Makes tasks of things that are better done together.

/// Things of one kind: only they may be done together.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind<I> {
    /// Each with its cost, in the order in which they are to stand in groups.
    pub items: Vec<(I, f64)>,
    /// The most that are done together; 0 counts as 1.
    pub most: usize,
}

/// Things that are done together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<I> {
    /// In the order of their kind.
    pub items: Vec<I>,
    /// The sum of their costs.
    pub cost: f64,
}

/// Splits every kind into groups as even in number as can be, none larger than the kind's `most`, and enough of them
/// that each of `workers` has one, as long as things can be split; the most costly group comes first.
///
/// The groups beyond what `most` asks for go where a group costs most.
pub fn grouped<I: Clone>(kinds: &[Kind<I>], workers: usize) -> Vec<Group<I>> {
    let cost = |items: &[(I, f64)]| items.iter().map(|(_, cost)| cost).sum::<f64>();
    let costs: Vec<f64> = kinds.iter().map(|kind| cost(&kind.items)).collect();
    let mut counts: Vec<usize> = kinds.iter().map(|kind| kind.items.len().div_ceil(kind.most.max(1))).collect();
    while counts.iter().sum::<usize>() < workers {
        let per_group = |kind: usize| costs[kind] / counts[kind] as f64;
        let divisible = (0..kinds.len()).filter(|&kind| counts[kind] < kinds[kind].items.len());
        let Some(largest) = divisible.max_by(|&a, &b| per_group(a).total_cmp(&per_group(b))) else { break };
        counts[largest] += 1;
    }
    let mut groups = Vec::new();
    for (kind, count) in kinds.iter().zip(counts) {
        let mut rest = kind.items.as_slice();
        for left in (1..=count).rev() {
            let (group, others) = rest.split_at(rest.len().div_ceil(left));
            rest = others;
            groups.push(Group { items: group.iter().map(|(item, _)| item.clone()).collect(), cost: cost(group) });
        }
    }
    // Stable, so that equal costs keep the order of the kinds.
    groups.sort_by(|a, b| b.cost.total_cmp(&a.cost));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_kind_is_split_for_idle_workers_where_a_group_costs_most() {
        let kind = |items: &[f64], most| Kind { items: items.iter().map(|&cost| (cost, cost)).collect(), most };
        let kinds = [kind(&[1.0, 1.0, 1.0, 1.0], 100), kind(&[5.0, 4.0, 3.0], 100), kind(&[2.0, 2.5], 1)];
        let items = |workers| grouped(&kinds, workers).into_iter().map(|group| group.items).collect::<Vec<_>>();
        assert_eq!(items(1), [vec![5.0, 4.0, 3.0], vec![1.0; 4], vec![2.5], vec![2.0]]);
        assert_eq!(items(5), [vec![5.0, 4.0], vec![1.0; 4], vec![3.0], vec![2.5], vec![2.0]]);
        assert_eq!(items(99).len(), 9);
        assert!(grouped::<f64>(&[], 3).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_mixed(
            kinds in prop::collection::vec((prop::collection::vec(0.0..10.0f64, 0..12), 0usize..6), 0..5),
            workers in 0usize..20,
        ) {
            let kinds: Vec<Kind<(usize, usize)>> = kinds
                .into_iter()
                .enumerate()
                .map(|(k, (costs, most))| {
                    let items = costs.iter().enumerate().map(|(i, &cost)| ((k, i), cost)).collect();
                    Kind { items, most }
                })
                .collect();
            let groups = grouped(&kinds, workers);
            let mut all: Vec<(usize, usize)> = groups.iter().flat_map(|group| group.items.clone()).collect();
            all.sort_unstable();
            let expected: Vec<_> = kinds.iter().flat_map(|kind| kind.items.iter().map(|(item, _)| *item)).collect();
            prop_assert_eq!(&all, &expected);
            for group in &groups {
                let kind = group.items[0].0;
                prop_assert!(group.items.iter().all(|item| item.0 == kind));
                prop_assert!(group.items.is_sorted());
                prop_assert!(group.items.len() <= kinds[kind].most.max(1));
                let cost: f64 = group.items.iter().map(|item| kinds[kind].items[item.1].1).sum();
                prop_assert!((group.cost - cost).abs() < 1e-9);
            }
            prop_assert!(groups.is_sorted_by(|a, b| a.cost >= b.cost));
            prop_assert!(groups.len() >= workers.min(all.len()));
            for kind in 0..kinds.len() {
                let mut sizes = groups.iter().filter(|group| group.items[0].0 == kind).map(|group| group.items.len());
                let (least, most) = sizes.by_ref().fold((usize::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
                prop_assert!(most == 0 || most - least <= 1);
            }
        }
    }
}
