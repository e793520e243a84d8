//! How many partitions are a member's fair share.

/// How many of so many partitions are the share of a member, among all that are there: as many as for everyone, and
/// one more for the first members in the order of their names where they do not come out even. The shares of all
/// members are all partitions. Nothing for one that is not there.
pub(super) fn share(partitions: u32, members: &[String], member: &str) -> u32 {
    let Ok(rank) = members.binary_search_by(|other| other.as_str().cmp(member)) else {
        return 0;
    };
    let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
    let rank = u32::try_from(rank).unwrap_or(u32::MAX);
    let (each, rest) = (partitions / count, partitions % count);
    each + u32::from(rank < rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_all_partitions_and_differ_by_one() {
        for partitions in [1, 2, 7, 16, 1024] {
            for count in 1..20 {
                let mut members: Vec<String> = (0..count).map(|n| format!("m{n}")).collect();
                members.sort();
                let shares: Vec<u32> = members
                    .iter()
                    .map(|member| share(partitions, &members, member))
                    .collect();
                assert_eq!(shares.iter().sum::<u32>(), partitions);
                let (least, most) = (shares.iter().min(), shares.iter().max());
                assert!(most.unwrap() - least.unwrap() <= 1, "{shares:?}");
                assert_eq!(share(partitions, &members, "nobody"), 0);
            }
        }
    }
}
