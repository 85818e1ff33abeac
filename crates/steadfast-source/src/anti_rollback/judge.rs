//! Whether a candidate leads forward.

use super::point::{Advance, Candidate, Descent, Expected, Force, KeySetPoint, Point};
use super::state::AntiRollback;
use crate::refusal::Refusal;
use jiff::Timestamp;
use std::cmp::Ordering;
use steadfast_trust::signature::SignatureError;

/// Whether a candidate may be taken by a node that remembers this.
pub fn judge(
    known: &AntiRollback,
    candidate: &Candidate,
    expected: &Expected,
    now: Timestamp,
    force: Force,
) -> Result<Advance, Refusal> {
    let Candidate { point, descent, key_set, keys: _, signers } = candidate;
    // Names and expiry hold even where root forces history.
    is_expected(point, expected)?;
    if let Some(signer) = signers.iter().find(|it| known.removed_keys.contains(&it.key))
        && force == Force::No
    {
        let (what, key) = (point.to_string(), signer.key.clone());
        return Err(SignatureError::RemovedKey { what, key }.into());
    }
    if let (Some(offered), Some(highest), Force::No) = (key_set, &known.key_set, force) {
        key_set_leads_forward(offered, highest)?;
    }
    if let Point::Snapshot { sequence, expires, .. } = point {
        let (sequence, expires, believed) = (*sequence, *expires, known.time(now, force));
        if expires <= now {
            return Err(Refusal::Expired { sequence, expires });
        }
        if expires <= believed {
            return Err(Refusal::ExpiredBefore { sequence, expires, now, believed });
        }
    }
    match (force, &known.highest) {
        (Force::Yes, _) => Ok(Advance::Forced),
        (Force::No, None) => Ok(Advance::First),
        (Force::No, Some(highest)) => leads_forward(point, *descent, highest),
    }
}

/// Whether what is signed is named as the node expects it.
fn is_expected(point: &Point, expected: &Expected) -> Result<(), Refusal> {
    let Point::Snapshot { model, channel, .. } = point else { return Ok(()) };
    if let Some(expected) = expected.model.as_ref().filter(|it| *it != model) {
        let (named, expected) = (model.clone(), expected.clone());
        return Err(Refusal::WrongModel { named, expected });
    }
    if let Some(expected) = expected.channel.as_ref().filter(|it| *it != channel) {
        let (named, expected) = (channel.clone(), expected.clone());
        return Err(Refusal::WrongChannel { named, expected });
    }
    Ok(())
}

fn key_set_leads_forward(offered: &KeySetPoint, highest: &KeySetPoint) -> Result<(), Refusal> {
    if offered.number < highest.number {
        let (offered, highest) = (offered.number, highest.number);
        return Err(Refusal::OlderKeys { offered, highest });
    }
    // Number 0 is what the settings say, and root may say something else.
    let reached = offered.number > 0 && offered.number == highest.number;
    if reached && offered.digest != highest.digest {
        let why = format!("key set {} is another than the one accepted", offered.number);
        return Err(Refusal::Broken { why });
    }
    Ok(())
}

/// Whether a revision is the highest one accepted, or comes after it.
fn leads_forward(point: &Point, descent: Descent, highest: &Point) -> Result<Advance, Refusal> {
    match (point, highest) {
        (Point::Git { commit, .. }, Point::Git { commit: highest, .. }) => {
            let (same, commit, highest) = (commit == highest, commit.clone(), highest.clone());
            match descent {
                _same if same => Ok(Advance::Same),
                Descent::Proved => Ok(Advance::Forward),
                Descent::TooFar => Err(Refusal::TooFar { commit, highest }),
                Descent::None | Descent::NotProved => {
                    Err(Refusal::NotDescended { commit, highest })
                }
            }
        }
        (
            Point::Snapshot { sequence, content, expires, .. },
            Point::Snapshot { sequence: highest, content: accepted, expires: until, .. },
        ) => match sequence.cmp(highest) {
            Ordering::Less => Err(Refusal::LowerSequence { offered: *sequence, highest: *highest }),
            Ordering::Equal if content != accepted => {
                Err(Refusal::TwoContents { sequence: *sequence })
            }
            Ordering::Equal if expires > until => Ok(Advance::Renewed),
            Ordering::Equal => Ok(Advance::Same),
            Ordering::Greater => Ok(Advance::Forward),
        },
        (Point::Directory { content }, Point::Directory { content: accepted }) => {
            Ok(if content == accepted { Advance::Same } else { Advance::Forward })
        }
        (
            Point::Git { .. } | Point::Snapshot { .. } | Point::Directory { .. },
            Point::Git { .. } | Point::Snapshot { .. } | Point::Directory { .. },
        ) => Err(Refusal::OtherSource { was: highest.kind(), now: point.kind() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anti_rollback::TrustedKeys;
    use std::collections::BTreeSet;
    use steadfast_trust::signature::Signer;

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const NOW: &str = "2026-02-01T00:00:00Z";
    const LATE: &str = "2026-03-01T00:00:00Z";

    fn snapshot(sequence: u64, content: u8, expires: &str) -> Point {
        Point::Snapshot {
            model: "m".into(),
            channel: "c".into(),
            sequence,
            content: [content; 32],
            expires: expires.parse().unwrap(),
        }
    }

    fn git(commit: &str) -> Point {
        Point::Git { commit: commit.into(), content: [0; 32] }
    }

    fn candidate(point: Point, descent: Descent) -> Candidate {
        let signers = vec![Signer { key: "K".into(), name: String::new() }];
        Candidate { point, descent, key_set: None, keys: None, signers }
    }

    fn judged(
        anti_rollback: &AntiRollback,
        candidate: &Candidate,
        force: Force,
    ) -> Result<Advance, String> {
        let expected = Expected { model: Some("m".into()), channel: Some("c".into()) };
        judge(anti_rollback, candidate, &expected, NOW.parse().unwrap(), force)
            .map_err(|it| it.line())
    }

    #[test]
    fn only_what_leads_forward_is_taken() {
        let at =
            |highest: Point| AntiRollback { highest: Some(highest), ..AntiRollback::default() };
        let five = at(snapshot(5, 1, LATE));
        let a = at(git("a"));
        let none = Descent::None;
        let cases: Vec<(&AntiRollback, Point, Descent, Result<Advance, &str>)> = vec![
            (&five, snapshot(6, 2, LATE), none, Ok(Advance::Forward)),
            (&five, snapshot(5, 1, LATE), none, Ok(Advance::Same)),
            (&five, snapshot(5, 1, "2026-04-01T00:00:00Z"), none, Ok(Advance::Renewed)),
            (
                &five,
                snapshot(4, 1, LATE),
                none,
                Err("snapshot 4 is older than snapshot 5, which was accepted before"),
            ),
            (
                &five,
                snapshot(5, 2, LATE),
                none,
                Err("snapshot 5 has another content than the one accepted under that number"),
            ),
            (
                &five,
                snapshot(6, 1, EARLY),
                none,
                Err("snapshot 6 expired at 2026-01-01T00:00:00Z: the model is stale"),
            ),
            (
                &five,
                git("a"),
                none,
                Err("the highest revision accepted was a snapshot, and this is a git commit"),
            ),
            (&a, git("a"), Descent::NotProved, Ok(Advance::Same)),
            (&a, git("b"), Descent::Proved, Ok(Advance::Forward)),
            (
                &a,
                git("b"),
                Descent::NotProved,
                Err("commit b does not descend from a, which was accepted before"),
            ),
            (
                &a,
                git("b"),
                Descent::TooFar,
                Err(
                    "commit b is too far from a, which was accepted before, to prove that it descends from it",
                ),
            ),
        ];
        for (anti_rollback, point, descent, expected) in cases {
            let candidate = candidate(point, descent);
            let expected = expected.map_err(str::to_owned);
            assert_eq!(judged(anti_rollback, &candidate, Force::No), expected, "{candidate:?}");
        }
        let first = candidate(git("b"), none);
        assert_eq!(judged(&AntiRollback::default(), &first, Force::No), Ok(Advance::First));
        let rewritten = candidate(git("b"), Descent::NotProved);
        assert_eq!(judged(&a, &rewritten, Force::Yes), Ok(Advance::Forced));
    }

    #[test]
    fn force_waives_history_and_neither_expiry_nor_names() {
        let mut known =
            AntiRollback { highest: Some(snapshot(5, 1, LATE)), ..AntiRollback::default() };
        let older = candidate(snapshot(4, 1, LATE), Descent::None);
        assert_eq!(judged(&known, &older, Force::Yes), Ok(Advance::Forced));
        let expired = candidate(snapshot(4, 1, EARLY), Descent::None);
        assert!(judged(&known, &expired, Force::Yes).unwrap_err().contains("expired"));
        let mut other = candidate(snapshot(6, 1, LATE), Descent::None);
        if let Point::Snapshot { channel, .. } = &mut other.point {
            *channel = "staging".into();
        }
        let wrong = "the snapshot is for channel `staging`, and not for `c`";
        assert_eq!(judged(&known, &other, Force::Yes), Err(wrong.to_owned()));

        // A key that was removed is root's to take back, with what it has signed.
        known.removed_keys.insert("K".into());
        let removed = "snapshot 4 is signed by K, which was removed from the trusted keys before";
        assert_eq!(judged(&known, &older, Force::No), Err(removed.to_owned()));
        assert_eq!(judged(&known, &older, Force::Yes), Ok(Advance::Forced));
        known.take(&older, Advance::Forced, "s", NOW.parse().unwrap());
        assert!(known.removed_keys.is_empty());
    }

    fn keys(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    /// Accepts a commit while these keys are trusted.
    fn takes(known: &mut AntiRollback, commit: &str, trusted: &[&str], advance: Advance) {
        let keys = Some(TrustedKeys::listed(keys(trusted)));
        let candidate = Candidate { keys, ..candidate(git(commit), Descent::None) };
        known.take(&candidate, advance, "s", NOW.parse().unwrap());
    }

    #[test]
    fn a_key_that_was_removed_stays_removed_when_it_comes_back() {
        let mut known = AntiRollback::default();
        takes(&mut known, "a", &["K", "L"], Advance::First);
        takes(&mut known, "b", &["L"], Advance::Forward);
        takes(&mut known, "c", &["K", "L"], Advance::Forward);
        let it = candidate(git("a"), Descent::None);
        assert!(judged(&known, &it, Force::No).unwrap_err().contains("was removed"));
        assert_eq!(known.removed_keys, keys(&["K"]));
    }

    #[test]
    fn a_key_is_removed_by_something_new_or_by_a_rotation_and_not_by_one_look_at_a_file() {
        let mut known = AntiRollback::default();
        takes(&mut known, "a", &["K", "L"], Advance::First);
        takes(&mut known, "a", &["K"], Advance::Same);
        takes(&mut known, "a", &["K", "M"], Advance::Same);
        assert_eq!((&known.removed_keys, &known.known_keys), (&keys(&[]), &keys(&["K", "L", "M"])));
        let rotated = TrustedKeys { now: keys(&["M"]), replaced: keys(&["K"]) };
        let candidate = Candidate { keys: Some(rotated), ..candidate(git("a"), Descent::None) };
        known.take(&candidate, Advance::Same, "s", NOW.parse().unwrap());
        assert_eq!((&known.removed_keys, &known.known_keys), (&keys(&["K"]), &keys(&["L", "M"])));
    }

    #[test]
    fn what_has_expired_is_not_taken_when_the_clock_is_put_back() {
        let mut known = AntiRollback::default();
        let late: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let six = candidate(snapshot(6, 1, LATE), Descent::None);
        known.hear(late);
        let words = "snapshot 6 expired at 2026-03-01T00:00:00Z, and this machine's clock says \
                     2026-02-01T00:00:00Z but was at 2026-03-01T12:00:00Z before";
        assert_eq!(judged(&known, &six, Force::No), Err(words.to_owned()));
        // Not every moment is noted, for each is written; but one at which something had expired.
        known.hear("2026-03-01T12:59:59Z".parse().unwrap());
        assert_eq!(known.believed, Some(late));
        known.saw_expired("2026-03-01T12:00:01Z".parse().unwrap());
        assert_eq!(known.believed, Some("2026-03-01T12:00:01Z".parse().unwrap()));
        // The clock was ahead then, and root says so.
        assert_eq!(judged(&known, &six, Force::Yes), Ok(Advance::Forced));
        known.take(&six, Advance::Forced, "s", NOW.parse().unwrap());
        assert_eq!(judged(&known, &six, Force::No), Ok(Advance::Same));
    }

    #[test]
    fn an_older_set_of_keys_or_another_one_under_its_number_is_refused() {
        let set = |number, digest| Some(KeySetPoint { number, digest: [digest; 32] });
        let anti_rollback = AntiRollback { key_set: set(2, 1), ..AntiRollback::default() };
        let judge_set = |it| {
            let mut candidate = candidate(snapshot(6, 1, LATE), Descent::None);
            candidate.key_set = it;
            judged(&anti_rollback, &candidate, Force::No)
        };
        assert_eq!(judge_set(set(2, 1)), Ok(Advance::First));
        assert_eq!(judge_set(set(3, 9)), Ok(Advance::First));
        assert!(judge_set(set(1, 1)).unwrap_err().contains("key set 1 is older than key set 2"));
        assert!(judge_set(set(2, 9)).unwrap_err().contains("key set 2 is another"));
    }
}
