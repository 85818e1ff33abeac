//! Promises of users and of groups' members that cannot both be kept.

use super::desired::{Desired, Groups, Wanted};
use crate::members;
use steadfast_system::GroupName;

/// Promises of users and of groups' members that cannot both be kept: the indexes of the two, and why.
pub fn contradictions(
    users: &[&Desired],
    members: &[&members::Desired],
) -> Vec<(usize, usize, String)> {
    let mut found = vec![];
    for (user_at, user) in users.iter().enumerate() {
        for (members_at, members) in members.iter().enumerate() {
            if let Some(why) = contradiction(user, members) {
                found.push((user_at, members_at, why));
            }
        }
    }
    found
}

fn contradiction(user: &Desired, members: &members::Desired) -> Option<String> {
    let (name, group) = (&user.name, &members.group);
    let is_member = members.names.contains(name);
    let present = match &user.state {
        Wanted::Present(present) => present,
        Wanted::Absent { .. } => {
            return is_member.then(|| {
                format!("user {name} is promised absent, and group {group} is to have that member")
            });
        }
    };
    // The primary group needs no line in the list of members.
    let primary = present.group.as_ref().map_or(name.as_str(), GroupName::as_str);
    if primary == group.as_str() {
        return None;
    }
    let is_in_list = |groups: &[GroupName]| groups.contains(group);
    let excluded = match &present.groups {
        Some(Groups::Exactly(groups)) => !is_in_list(groups),
        Some(Groups::Without(groups)) => is_in_list(groups),
        Some(Groups::AtLeast(_)) | None => false,
    };
    if is_member && excluded {
        return Some(format!(
            "group {group} is to have the member {name}, and user {name} is not to be in it"
        ));
    }
    let included = match &present.groups {
        Some(Groups::AtLeast(groups) | Groups::Exactly(groups)) => is_in_list(groups),
        Some(Groups::Without(_)) | None => false,
    };
    (included && members.exactly && !is_member).then(|| {
        format!("user {name} is to be in group {group}, which is to have exactly other members")
    })
}
